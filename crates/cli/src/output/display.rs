//! Modes in which the output of a process can be shown.

use super::{Matches, OutputPiece, PrintOptions, Printer};
use crate::failure::CliError;
use longhaul_view::LineCollapser;

/// Mode in which the output of one process is shown.
pub(crate) enum OutputDisplay {
    /// Shows the complete output unchanged.
    All(Printer),
    /// Shows the complete output, but collapses redrawn and repeated lines.
    Folded(Box<FoldedOutput>, Printer),
    /// Shows only lines that match a pattern.
    Matches(Box<Matches>),
}

impl OutputDisplay {
    pub(crate) fn folded(manner: PrintOptions) -> Self {
        Self::Folded(Box::default(), Printer::new(manner))
    }

    /// Returns the bytes to print for the next chunk of output.
    pub(crate) fn show(&mut self, piece: &OutputPiece) -> Result<Vec<u8>, CliError> {
        match self {
            Self::All(printer) => printer.show(piece),
            Self::Folded(folded, printer) => {
                let mut shown = Vec::new();
                for piece in folded.push(piece) {
                    shown.extend(printer.show(&piece)?);
                }
                Ok(shown)
            }
            Self::Matches(matches) => matches.show(piece),
        }
    }

    /// Returns the last bytes to print at the end of the output, and a boolean. The boolean is false if a search found
    /// no match, and true in all other cases.
    pub(crate) fn finish(self) -> Result<(Vec<u8>, bool), CliError> {
        match self {
            Self::All(printer) => Ok((printer.finish(), true)),
            Self::Folded(mut folded, mut printer) => {
                let mut rest = Vec::new();
                if let Some(piece) = folded.flush() {
                    rest.extend(printer.show(&piece)?);
                }
                rest.extend(printer.finish());
                Ok((rest, true))
            }
            Self::Matches(mut matches) => Ok((matches.finish()?, matches.found())),
        }
    }

    /// Returns true if no further output would be shown, because the maximum number of matches is reached.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::All(_) | Self::Folded(..) => false,
            Self::Matches(matches) => matches.is_full(),
        }
    }
}

/// Output whose redrawn and repeated lines are collapsed. Consecutive chunks of one stream are collapsed together.
#[derive(Default)]
pub(crate) struct FoldedOutput {
    collapser: LineCollapser,
    run: Option<StreamRun>,
}

/// Run of consecutive chunks of one stream.
#[derive(Clone, Copy)]
struct StreamRun {
    is_stderr: bool,
    /// Time of the first chunk of this run that has not been printed.
    at: i64,
}

impl StreamRun {
    fn piece(self, text: String) -> Option<OutputPiece> {
        let (is_empty, at, bytes) = (text.is_empty(), self.at, text.into_bytes());
        let piece = if self.is_stderr {
            OutputPiece::Stderr { at, bytes }
        } else {
            OutputPiece::Stdout { at, bytes }
        };
        (!is_empty).then_some(piece)
    }
}

impl FoldedOutput {
    /// Returns the chunks that can be printed now.
    fn push(&mut self, piece: &OutputPiece) -> Vec<OutputPiece> {
        let (is_stderr, at, bytes) = match piece {
            OutputPiece::Stdout { at, bytes } => (false, *at, bytes),
            OutputPiece::Stderr { at, bytes } => (true, *at, bytes),
            OutputPiece::Note { .. } => return vec![piece.clone()],
            OutputPiece::Gap { .. } => return self.flush().into_iter().chain([piece.clone()]).collect(),
        };
        let before = if self.run.is_some_and(|run| run.is_stderr != is_stderr) { self.flush() } else { None };
        let run = *self.run.get_or_insert(StreamRun { is_stderr, at });
        let decided = run.piece(self.collapser.push(bytes));
        if decided.is_some() {
            self.run = Some(StreamRun { is_stderr, at });
        }
        before.into_iter().chain(decided).collect()
    }

    /// Ends the current run and returns its remaining text.
    fn flush(&mut self) -> Option<OutputPiece> {
        self.run.take()?.piece(std::mem::take(&mut self.collapser).finish())
    }
}
