//! Readers for the text that test frameworks print for people.

mod cargo;
mod detail;
mod go;
mod jest;
mod nextest;
mod numbers;
mod parser;
mod prove;
mod pytest;
mod vitest;

use super::case::TestCounts;
use super::event::TestEvent;
use cargo::CargoConsole;
use go::GoConsole;
use jest::JestConsole;
use nextest::NextestConsole;
use prove::ProveConsole;
use pytest::PytestConsole;
use std::time::Duration;
use vitest::VitestConsole;

pub use parser::ConsoleParser;

/// Returns true for a line such as `running 4 tests`.
pub(super) fn is_start_of_cargo(line: &str) -> bool {
    cargo::running(line).is_some()
}

/// Maximum number of failed tests that a single line may name.
const MAX_EXPLAINED: usize = 100;

/// The summary at the end of the output.
///
/// A test may print a line that looks like a summary. The last line of this kind comes from the framework, so the
/// summary is emitted only at the end of the output.
#[derive(Clone, Copy, Debug, Default)]
struct FinalTotals {
    counts: Option<TestCounts>,
    has_ended: bool,
    duration: Option<Duration>,
}

impl FinalTotals {
    /// Emits the summary if the output contained one.
    fn emit(self, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(counts) = self.counts {
            emit(TestEvent::Totals(counts));
            if self.has_ended {
                emit(TestEvent::Ended { duration: self.duration });
            }
        }
    }
}

/// Reader for the lines that one test framework prints.
trait ConsoleReader: std::fmt::Debug + Send {
    /// Reads the next line, which starts at the offset `at` of the output.
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent));

    /// Reads a last line whose end is missing. The missing part could change the meaning of the line, so most readers
    /// drop it.
    fn read_unfinished(&mut self, _line: &str, _emit: &mut dyn FnMut(TestEvent)) {}

    /// Handles the end of the output.
    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent));
}
