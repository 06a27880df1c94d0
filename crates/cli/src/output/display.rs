//! The ways in which the output of a process is shown.

use super::{Matches, OutputPiece, PrintOptions, Printer};
use crate::failure::CliError;
use longhaul_view::LineCollapser;

/// What becomes of the output of one process.
pub(crate) enum OutputDisplay {
    /// All of it is shown.
    All(Printer),
    /// Redraws and repeats are folded.
    Folded(Box<LineCollapser>, Printer),
    /// Lines that match are shown.
    Matches(Box<Matches>),
}

impl OutputDisplay {
    pub(crate) fn folded(manner: PrintOptions) -> Self {
        Self::Folded(Box::default(), Printer::new(manner))
    }

    /// Gives what is shown of a piece.
    pub(crate) fn show(&mut self, piece: &OutputPiece) -> Result<Vec<u8>, CliError> {
        match self {
            Self::All(printer) => printer.show(piece),
            Self::Folded(folder, printer) => match piece {
                OutputPiece::Stdout { at, bytes } | OutputPiece::Stderr { at, bytes } => {
                    let text = folder.push(bytes);
                    if text.is_empty() { Ok(Vec::new()) } else { printer.show(&folded(*at, text)) }
                }
                OutputPiece::Note { .. } => printer.show(piece),
                OutputPiece::Gap { .. } => {
                    let mut shown = printer.show(&folded(0, std::mem::take(&mut **folder).finish()))?;
                    shown.extend(printer.show(piece)?);
                    Ok(shown)
                }
            },
            Self::Matches(matches) => matches.show(piece),
        }
    }

    /// Gives what is left when the output is over, and whether something was found.
    pub(crate) fn finish(self) -> Result<(Vec<u8>, bool), CliError> {
        match self {
            Self::All(printer) => Ok((printer.finish(), true)),
            Self::Folded(folder, mut printer) => {
                let mut rest = printer.show(&folded(0, folder.finish()))?;
                rest.extend(printer.finish());
                Ok((rest, true))
            }
            Self::Matches(mut matches) => Ok((matches.finish()?, matches.found())),
        }
    }

    /// Tells whether something was found.
    pub(crate) const fn has_found(&self) -> bool {
        match self {
            Self::All(_) | Self::Folded(..) => true,
            Self::Matches(matches) => matches.found(),
        }
    }

    /// Tells whether nothing of what follows would be shown.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::All(_) | Self::Folded(..) => false,
            Self::Matches(matches) => matches.is_full(),
        }
    }
}

fn folded(at: i64, text: String) -> OutputPiece {
    OutputPiece::Stdout { at, bytes: text.into_bytes() }
}
