//! Modes in which the output of a process is shown.

use super::{Matches, OutputPiece, PrintOptions, Printer};
use crate::failure::CliError;
use longhaul_view::LineCollapser;

/// Mode in which the output of one process is shown.
pub(crate) enum OutputDisplay {
    /// Shows everything.
    All(Printer),
    /// Shows everything, with redrawn and repeated lines collapsed.
    Folded(Box<LineCollapser>, Printer),
    /// Shows only lines that match a pattern.
    Matches(Box<Matches>),
}

impl OutputDisplay {
    pub(crate) fn folded(manner: PrintOptions) -> Self {
        Self::Folded(Box::default(), Printer::new(manner))
    }

    /// Returns the bytes to print for a piece of output.
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

    /// Returns the remaining bytes to print at the end of the output, and the value of [`has_found`](Self::has_found).
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

    /// Returns true if a line matched the pattern. Always true without a pattern.
    pub(crate) const fn has_found(&self) -> bool {
        match self {
            Self::All(_) | Self::Folded(..) => true,
            Self::Matches(matches) => matches.found(),
        }
    }

    /// Returns true if nothing that follows would be shown, because the maximum number of matches is reached.
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
