//! Searches the output of a tool for the id of a remote session while the output arrives.

use super::state_rules::SessionPattern;
use longhaul_view::{Sanitizer, TerminalPolicy};

/// Number of new bytes that are collected before they are searched.
const SEARCH_STEP: usize = 64 * 1024;
/// Minimum number of searched bytes that are kept, because a match may start in them and end in later bytes.
const OVERLAP: usize = 16 * 1024;

/// Search for the first id in one stream. Control sequences, such as colors, are ignored.
#[derive(Clone, Debug)]
pub(super) struct IdSearch {
    pattern: SessionPattern,
    sanitizer: Sanitizer,
    /// End of the text so far, which may contain the start of a match.
    window: Vec<u8>,
    searched: usize,
    found: Option<String>,
}

impl IdSearch {
    /// Creates a search.
    pub(super) const fn new(pattern: SessionPattern) -> Self {
        let sanitizer = Sanitizer::new(TerminalPolicy::Plain);
        Self { pattern, sanitizer, window: Vec::new(), searched: 0, found: None }
    }

    /// Adds the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.found.is_some() {
            return;
        }
        self.sanitizer.push(bytes, &mut self.window);
        if self.window.len().saturating_sub(self.searched) < SEARCH_STEP {
            return;
        }
        let text = String::from_utf8_lossy(&self.window);
        // Ignore an id at the end of the text, because the id may continue in the next bytes.
        self.found = self.pattern.find(&text).filter(|found| found.end < text.len()).map(|found| found.id);
        self.drop_start();
        self.searched = self.window.len();
    }

    /// Returns the id after the end of the stream. An id at the end of the text is then complete.
    pub(super) fn finish(mut self) -> Option<String> {
        self.sanitizer.finish(&mut self.window);
        let window = self.window;
        self.found.or_else(|| self.pattern.find(&String::from_utf8_lossy(&window)).map(|found| found.id))
    }

    /// Removes the text before the overlap. Keeps whole lines, because a pattern may match only at the start of a line.
    fn drop_start(&mut self) {
        let excess = self.window.len().saturating_sub(OVERLAP);
        let start = self.window.get(..excess).and_then(|text| text.iter().rposition(|byte| *byte == b'\n'));
        match start {
            Some(feed) => drop(self.window.drain(..=feed)),
            // Also cut a very long line, so that the memory usage is limited.
            None if self.window.len() > 2 * SEARCH_STEP => drop(self.window.drain(..excess)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(output: &[u8], piece: usize) -> Option<String> {
        let pattern = SessionPattern::new(r"(?m)^Session created: ([a-z0-9]+)").unwrap();
        let mut search = IdSearch::new(pattern);
        output.chunks(piece).for_each(|bytes| search.push(bytes));
        search.finish()
    }

    #[test]
    fn id_is_found_at_every_position_and_for_every_split_of_the_output() {
        let noise = "a line of a log\n".repeat(40_000);
        let id = "Session created: s77\n";
        for output in
            [id.to_owned(), format!("{noise}{id}"), format!("{id}{noise}"), format!("{noise}{id}{noise}")]
        {
            for piece in [997, 16 * 1024, output.len()] {
                assert_eq!(found(output.as_bytes(), piece).as_deref(), Some("s77"));
            }
        }
        assert_eq!(found(noise.as_bytes(), 4096), None);
    }

    #[test]
    fn id_at_the_end_of_a_piece_is_not_cut() {
        for before in SEARCH_STEP - 30..SEARCH_STEP + 5 {
            let output = format!("{}\nSession created: s123456789\n", "x".repeat(before));
            assert_eq!(found(output.as_bytes(), SEARCH_STEP).as_deref(), Some("s123456789"), "{before}");
        }
    }

    #[test]
    fn colors_do_not_hide_an_id_and_long_lines_are_bounded() {
        assert_eq!(found(b"\x1b[1mSession created: \x1b[32ms77\x1b[0m\n", 3).as_deref(), Some("s77"));
        let pattern = SessionPattern::new(r"id=(\d+)").unwrap();
        let mut search = IdSearch::new(pattern);
        for _ in 0..1000 {
            search.push(&[b'x'; 16 * 1024]);
            assert!(search.window.len() < 4 * SEARCH_STEP);
        }
        search.push(b"id=5");
        assert_eq!(search.finish().as_deref(), Some("5"));
    }
}
