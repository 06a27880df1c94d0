//! The blocks with which pytest explains failures.

use super::framed;
use crate::bounded_text::BoundedText;
use crate::test_run::case::{MAX_TEXT_LEN, TestCase, TestPhase};
use crate::test_run::failure_text::python;
use crate::test_run::text;

/// Maximum number of blocks that are stored until the list of failed tests follows. The failures of further blocks are
/// not explained.
const MAX_BLOCKS: usize = 200;

/// The blocks that explain failures, in the order of the output.
#[derive(Debug, Default)]
pub(super) struct FailureBlocks {
    open: Option<FailureBlock>,
    closed: Vec<FailureBlock>,
}

/// One block: a heading such as `____ TestC.test_m ____`, and the lines after it.
#[derive(Debug)]
pub(super) struct FailureBlock {
    /// Name of the test without its file, with dots between its parts. Some blocks have the name of a file instead.
    name: String,
    phase: TestPhase,
    /// Offset of the heading in the output.
    offset: u64,
    trace: BoundedText,
    captured: BoundedText,
    is_captured: bool,
}

impl FailureBlocks {
    /// Reads a line in the section of failures.
    pub(super) fn read(&mut self, at: u64, line: &str) {
        if let Some(title) = framed(line, '_') {
            // Lines of underscores with spaces between them separate the frames of a traceback.
            if title.chars().any(|c| c != '_' && c != ' ') {
                self.end();
                self.open = Some(FailureBlock::new(title, at));
            }
        } else if let Some(block) = &mut self.open {
            block.read(line);
        }
    }

    /// Ends the last block.
    pub(super) fn end(&mut self) {
        let open = self.open.take();
        self.closed.extend(open.filter(|_| self.closed.len() < MAX_BLOCKS));
    }

    /// Removes and returns the block of a test. If the test itself and its tear-down both failed, the test has two
    /// blocks. The block of an xdist worker that crashed has only the name of the file.
    pub(super) fn take(&mut self, id: &str, is_error: bool) -> Option<FailureBlock> {
        let (file, name) = match id.split_once("::") {
            Some((file, name)) => (file, dotted(name)),
            None => (id, id.to_owned()),
        };
        let is_same =
            |block: &FailureBlock| block.name == name && is_error == (block.phase != TestPhase::Call);
        let at = self.closed.iter().position(is_same);
        let at = at.or_else(|| self.closed.iter().position(|block| block.name == file))?;
        Some(self.closed.remove(at))
    }

    /// Removes and returns all blocks.
    pub(super) fn take_all(&mut self) -> Vec<FailureBlock> {
        std::mem::take(&mut self.closed)
    }
}

impl FailureBlock {
    fn new(title: &str, at: u64) -> Self {
        let phases = [
            ("ERROR at setup of ", TestPhase::Setup),
            ("ERROR at teardown of ", TestPhase::Teardown),
            ("ERROR collecting ", TestPhase::Collect),
        ];
        let (name, phase) = phases
            .into_iter()
            .find_map(|(start, phase)| Some((title.strip_prefix(start)?, phase)))
            .unwrap_or((title, TestPhase::Call));
        Self {
            name: text::id(name),
            phase,
            offset: at,
            trace: BoundedText::new(MAX_TEXT_LEN),
            captured: BoundedText::new(MAX_TEXT_LEN),
            is_captured: false,
        }
    }

    fn read(&mut self, line: &str) {
        if framed(line, '-').is_some_and(|title| title.starts_with("Captured ")) {
            self.is_captured = true;
            return;
        }
        let text = if self.is_captured { &mut self.captured } else { &mut self.trace };
        text.push(line.as_bytes());
        text.push(b"\n");
    }

    /// Returns the name of the test, as in the heading.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds the details in this block to the test. `message` is the message after the name of the test in the list; it
    /// may be cut.
    pub(super) fn explain(self, message: &str, case: &mut TestCase) {
        let trace = self.trace.text();
        let trace = trace.trim_matches('\n');
        let whole = trace.lines().filter_map(|line| line.strip_prefix("E ")).map(str::trim_start);
        let whole: Vec<&str> = whole.collect();
        let last = || trace.lines().next_back().filter(|_| message.ends_with("...")).unwrap_or(message);
        let message = if whole.is_empty() { last().to_owned() } else { whole.join("\n") };
        let mut read = python::read(
            if self.phase == TestPhase::Collect { "collection failure" } else { &message },
            trace,
        );
        read.failure.phase = self.phase;
        read.attach(case);
        case.offset = Some(self.offset);
        if let Some(failure) = &mut case.failure {
            failure.captured = text::block(&self.captured.text());
        }
    }
}

/// Returns the name of a test in the form that headings use. The parameters are not changed.
fn dotted(name: &str) -> String {
    let (name, parameters) =
        name.split_at_checked(name.find('[').unwrap_or(name.len())).unwrap_or((name, ""));
    name.replace("::", ".") + parameters
}
