//! Folded output, as people see it: only the last state of a redrawn line, a count in place of repeated lines, and no
//! control bytes.

use crate::cursor::OutputCursor;
use crate::label::turns_text;
use crate::redraw::fold_redraws;
use crate::sanitizer::{Sanitizer, TerminalPolicy, sanitize};
use crate::window::{Window, WindowEnd};

/// Maximum number of characters that are shown from one line.
pub(crate) const MAX_LINE_LEN: usize = 2_000;
/// Maximum number of bytes that are treated as one line. A longer line is split into parts.
pub(crate) const MAX_PIECE_LEN: usize = 64 * 1024;
/// Mark that is shown in place of the missing start of a line.
pub(crate) const TRUNCATION_MARK: &str = "…";
/// Maximum size of a run of equal lines, in bytes. After it, the next equal line starts a new run.
const MAX_RUN_LEN: usize = 256 * 1024;
/// Maximum number of bytes at the end of a growing output that are checked for an unfinished character or escape
/// sequence.
const MAX_PARTIAL_LEN: usize = 1024;

/// Entry of folded output: one line, or a run of equal lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoldedLine {
    /// Text to show, with a line feed unless the line is unfinished.
    pub(crate) text: String,
    /// Start of the entry: the index of its first byte in the window.
    pub(crate) start: usize,
    /// End of the entry: the index after its last byte in the window.
    pub(crate) end: usize,
    /// Number of line feeds that the entry contains.
    pub(crate) feeds: u64,
    /// True if only the start of the line is shown.
    pub(crate) is_cut: bool,
}

/// Reason why there is no next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntriesEnd {
    /// The next entry does not end inside the window.
    Undecided,
    /// The window contains no further complete entry.
    Done,
}

/// Iterator that splits a window of output into entries.
///
/// An entry depends only on the bytes from its start on. Therefore two readers, of which the second continues where the
/// first stopped, together get the same entries as a single reader.
#[derive(Debug)]
pub(crate) struct WindowEntries<'w> {
    window: &'w Window,
    base: Option<OutputCursor>,
    at: usize,
    /// Line at `at` that has already been rendered, because it ended the previous run of equal lines.
    ahead: Option<RenderedLine>,
}

/// One line of a window, rendered for display.
#[derive(Debug)]
struct RenderedLine {
    text: String,
    start: usize,
    end: usize,
    form: LineForm,
}

/// Form of a rendered line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineForm {
    /// The line ended with a line feed and is shown completely.
    Whole,
    /// The line ended with a line feed; only its start is shown.
    Cut,
    /// The text is a part of a line that is longer than [`MAX_PIECE_LEN`].
    Piece,
    /// Earlier contents of a long line, which a redraw has overwritten. The entry has no visible text.
    Redrawn,
    /// The line is the last line of the output and does not end with a line feed yet.
    Unfinished,
}

impl<'w> WindowEntries<'w> {
    /// Creates an iterator that starts at index `at`. If `base` is set, the mark of a line that was cut contains a
    /// cursor into the output of `base`.
    pub(crate) const fn new(window: &'w Window, base: Option<OutputCursor>, at: usize) -> Self {
        Self { window, base, at, ahead: None }
    }

    /// Returns the next entry.
    pub(crate) fn next(&mut self) -> Result<FoldedLine, EntriesEnd> {
        let first = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.line(self.at)?,
        };
        if first.form != LineForm::Whole {
            return Ok(self.folded_line(first, 1));
        }
        let (begin, mut last_end, mut count) = (first.start, first.end, 1_u64);
        while last_end - begin < MAX_RUN_LEN {
            let next = match self.settled_line(last_end, begin + MAX_RUN_LEN) {
                Ok(next) => next,
                Err(EntriesEnd::Done) => break,
                Err(EntriesEnd::Undecided) => {
                    self.ahead = Some(first);
                    return Err(EntriesEnd::Undecided);
                }
            };
            if next.form != LineForm::Whole || next.text != first.text {
                // If overwritten states precede the next line, they form a separate entry. The line is then rendered
                // again after that entry.
                self.ahead = (next.start == last_end).then_some(next);
                break;
            }
            (last_end, count) = (next.end, count + 1);
        }
        Ok(self.folded_line(RenderedLine { end: last_end, ..first }, count))
    }

    /// Returns the line at `start`. Skips its earlier states that a redraw has overwritten, but only up to index
    /// `limit`.
    fn settled_line(&self, start: usize, limit: usize) -> Result<RenderedLine, EntriesEnd> {
        let mut line = self.line(start)?;
        while line.form == LineForm::Redrawn && line.end < limit {
            line = self.line(line.end)?;
        }
        Ok(line)
    }

    fn folded_line(&mut self, shown: RenderedLine, count: u64) -> FoldedLine {
        let RenderedLine { mut text, start, end, form } = shown;
        self.at = end;
        if count > 1 {
            let space = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{space}×{count}"));
        }
        let feeds = match form {
            LineForm::Whole | LineForm::Cut => count,
            LineForm::Piece | LineForm::Redrawn | LineForm::Unfinished => 0,
        };
        match form {
            LineForm::Whole | LineForm::Cut | LineForm::Piece => text.push('\n'),
            LineForm::Redrawn | LineForm::Unfinished => {}
        }
        FoldedLine { text, start, end, feeds, is_cut: matches!(form, LineForm::Cut | LineForm::Piece) }
    }

    fn line(&self, start: usize) -> Result<RenderedLine, EntriesEnd> {
        let (end, form) = bounds(self.window, start)?;
        if form == LineForm::Redrawn {
            return Ok(RenderedLine { text: String::new(), start, end, form });
        }
        let raw = self.window.slice(start, end);
        let text = shown(raw);
        // If the line was redrawn, its last state is complete even if the start of the line is missing.
        let is_torn = self.window.is_torn_at(start) && drawn_over(bare(raw)).is_none();
        let torn = if is_torn { TRUNCATION_MARK } else { "" };
        if text.len() > MAX_LINE_LEN
            && let Some((place, _)) = text.char_indices().nth(MAX_LINE_LEN)
        {
            let rest = text.chars().count() - MAX_LINE_LEN;
            let begin = text.get(..place).unwrap_or_default();
            let text = match self.base {
                Some(base) => {
                    let behind = start + place_behind(raw, MAX_LINE_LEN);
                    format!("{torn}{begin}…[+{rest} characters: {}]", base.at(self.window.offset(behind)))
                }
                None => format!("{torn}{begin}…[+{rest} characters]"),
            };
            let form = if form == LineForm::Whole { LineForm::Cut } else { form };
            return Ok(RenderedLine { text, start, end, form });
        }
        Ok(RenderedLine { text: format!("{torn}{text}"), start, end, form })
    }
}

/// Returns the end and the form of the line that starts at an index.
fn bounds(window: &Window, start: usize) -> Result<(usize, LineForm), EntriesEnd> {
    let rest = window.slice(start, window.bytes().len());
    let longest = rest.get(..MAX_PIECE_LEN).unwrap_or(rest);
    if let Some(feed) = memchr::memchr(b'\n', longest) {
        return Ok((start + feed + 1, LineForm::Whole));
    }
    if rest.len() > MAX_PIECE_LEN {
        if let Some(over) = drawn_over(longest) {
            return Ok((start + over, LineForm::Redrawn));
        }
        return Ok((start + boundary(rest, MAX_PIECE_LEN), LineForm::Piece));
    }
    let length = match window.ending() {
        WindowEnd::More => return Err(EntriesEnd::Undecided),
        WindowEnd::Over => rest.len(),
        WindowEnd::Pause => settled(rest),
    };
    if length == 0 { Err(EntriesEnd::Done) } else { Ok((start + length, LineForm::Unfinished)) }
}

/// Returns the number of bytes of a line, or of a part of a line, that a redraw has overwritten. Returns `None` if no
/// bytes were overwritten.
pub(crate) fn drawn_over(part: &[u8]) -> Option<usize> {
    Some(part.len() - fold_redraws(part).len()).filter(|over| *over > 0)
}

/// Renders a line without its line ending.
pub(crate) fn shown(raw: &[u8]) -> String {
    let drawn = fold_redraws(bare(raw));
    let clean = if is_harmless(drawn) { drawn.to_vec() } else { sanitize(drawn, TerminalPolicy::Plain) };
    String::from_utf8(clean).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Returns true if the lines are shown unchanged, because they contain nothing to fold or to remove.
pub(crate) fn is_harmless(lines: &[u8]) -> bool {
    let (mut has_controls, mut is_beyond_ascii) = (false, false);
    for byte in lines {
        has_controls |= (*byte < b' ' && *byte != b'\t' && *byte != b'\n') | (*byte == 0x7f);
        is_beyond_ascii |= *byte > 0x7f;
    }
    let is_text = |text: &str| !text.chars().any(|c| matches!(c, '\u{80}'..='\u{9f}') || turns_text(c));
    !has_controls && (!is_beyond_ascii || std::str::from_utf8(lines).is_ok_and(is_text))
}

/// Returns a line without its line feed and without carriage returns directly before the line feed.
pub(crate) fn bare(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let end = raw.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    raw.get(..end).unwrap_or_default()
}

/// Returns the index in a line at which the first `characters` visible characters end.
fn place_behind(raw: &[u8], characters: usize) -> usize {
    let drawn = fold_redraws(bare(raw));
    let skipped = bare(raw).len() - drawn.len();
    let mut sanitizer = Sanitizer::new(TerminalPolicy::Plain);
    let (mut piece, mut seen) = (Vec::new(), 0);
    for (place, byte) in drawn.iter().enumerate() {
        sanitizer.push(std::slice::from_ref(byte), &mut piece);
        seen += piece.iter().filter(|byte| !is_continuation(**byte)).count();
        piece.clear();
        if seen >= characters && sanitizer.is_settled() {
            return skipped + place + 1;
        }
    }
    bare(raw).len()
}

/// Returns the length of the longest prefix of a growing line that does not end in an unfinished character or escape
/// sequence.
fn settled(rest: &[u8]) -> usize {
    let (certain, doubtful) = rest.split_at(rest.len().saturating_sub(MAX_PARTIAL_LEN));
    let (mut sanitizer, mut ignored) = (Sanitizer::new(TerminalPolicy::Plain), Vec::new());
    sanitizer.push(certain, &mut ignored);
    let mut settled = None;
    for (place, byte) in doubtful.iter().enumerate() {
        ignored.clear();
        sanitizer.push(std::slice::from_ref(byte), &mut ignored);
        if sanitizer.is_settled() {
            settled = Some(certain.len() + place + 1);
        }
    }
    // An escape sequence of more than `MAX_PARTIAL_LEN` bytes is not valid, so the whole line counts as finished.
    settled.unwrap_or(if certain.is_empty() { 0 } else { rest.len() })
}

/// Returns the last character boundary at or before `at`.
pub(crate) fn boundary(bytes: &[u8], at: usize) -> usize {
    let at = at.min(bytes.len());
    let is_inside = |place: usize| bytes.get(place).is_some_and(|byte| is_continuation(*byte));
    (at.saturating_sub(3)..=at).rev().find(|place| !is_inside(*place)).unwrap_or(at)
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::StreamSelection;
    use longhaul_domain::{AttemptNo, ProcessId};
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn equal_lines_become_one_with_their_number() {
        assert_eq!(folded(b"a\na\na\nb\n\n\nb\n"), ["a ×3\n", "b\n", "×2\n", "b\n"]);
    }

    #[test]
    fn line_whose_begin_was_dropped_is_marked() {
        let torn = |output: &[u8]| texts(&window(output, WindowEnd::Over).torn());
        assert_eq!(torn(b"est\nest\nest\n"), ["…est\n", "est ×2\n"]);
        assert_eq!(torn(b"\na\n"), ["…\n", "a\n"]);
        assert_eq!(torn(b"st"), ["…st"]);
        assert_eq!(torn(b"0%\r100%\n"), ["100%\n"], "its last state is whole");
        let long = torn(format!("{}\n", "x".repeat(MAX_LINE_LEN + 1)).as_bytes()).concat();
        assert!(long.starts_with("…x") && long.contains("…[+1 characters"), "{}", long.len());
        let mut forgotten = window(b"one\ntwo\n", WindowEnd::Over).torn();
        forgotten.forget(0);
        assert_eq!(texts(&forgotten), ["…one\n", "two\n"]);
        forgotten.forget(4);
        assert_eq!(texts(&forgotten), ["two\n"]);
    }

    #[test]
    fn lines_are_compared_as_they_are_shown() {
        assert_eq!(folded(b" 10%\r100%\n\x1b[32m100%\x1b[0m\r\n"), ["100% ×2\n"]);
    }

    proptest! {
        #[test]
        fn harmless_lines_are_those_that_nothing_changes(lines in "[a-zé\\t\\x00-\\u{9f}\u{202e}\u{2066}€]{0,6}") {
            let bytes = lines.as_bytes();
            let is_durable = sanitize(bytes, TerminalPolicy::Plain) == bytes && !lines.contains('\r');
            prop_assert_eq!(is_harmless(bytes), is_durable);
        }
    }

    #[test]
    fn unfinished_line_is_no_part_of_a_run() {
        assert_eq!(folded(b"a\na\na"), ["a ×2\n", "a"]);
    }

    #[test]
    fn long_line_is_cut_with_the_count_and_the_place_of_its_rest() {
        let line = format!("{}tail\n", "é".repeat(MAX_LINE_LEN));
        let shown = folded(line.as_bytes()).remove(0);
        let cursor = base().at(4_000);
        assert_eq!(shown, format!("{}…[+4 characters: {cursor}]\n", "é".repeat(MAX_LINE_LEN)));
        let exact = format!("{}\n", "é".repeat(MAX_LINE_LEN));
        assert_eq!(folded(exact.as_bytes()), [exact]);
    }

    #[test]
    fn endless_line_is_returned_in_parts_that_cut_no_character() {
        let output = "€".repeat(MAX_PIECE_LEN);
        let window = window(output.as_bytes(), WindowEnd::Over);
        let mut entries = WindowEntries::new(&window, Some(base()), 0);
        let first = entries.next().unwrap();
        assert_eq!((first.end % 3, first.is_cut), (0, true));
        assert!(MAX_PIECE_LEN - first.end < 3);
    }

    #[test]
    fn redrawn_line_of_any_length_is_folded_to_its_last_state() {
        for states in [2_000, 5_000, 50_000] {
            let redraws: String = (0..=states).map(|state| format!("\rDL {state:5} [####]")).collect();
            let shown = folded(format!("a\n{redraws}\ndone\n").as_bytes()).concat();
            assert_eq!(shown, format!("a\nDL {states:5} [####]\ndone\n"));
            let growing = folded(redraws.as_bytes()).concat();
            assert_eq!(growing, format!("DL {states:5} [####]"));
        }
    }

    #[test]
    fn long_redrawn_lines_that_end_equal_are_counted() {
        let line = format!("{}100%\n", "10%\r".repeat(MAX_PIECE_LEN / 3));
        let entries = folded(format!("100%\n{line}{line}other\n").as_bytes());
        assert_eq!(entries.concat(), "100% ×3\nother\n");
        let entries = folded(format!("before\n{line}{line}").as_bytes());
        assert_eq!(entries.concat(), "before\n100% ×2\n");
    }

    #[test]
    fn unfinished_sequence_waits_for_more_output() {
        for (output, shown) in [
            (&b"wait \xe2\x82"[..], "wait "),
            (b"red \x1b[3", "red "),
            (b"\x1b]0;title", ""),
            (b"prompt> ", "prompt> "),
        ] {
            let window = window(output, WindowEnd::Pause);
            let text = WindowEntries::new(&window, Some(base()), 0).next().map(|entry| entry.text);
            assert_eq!(text.unwrap_or_default(), shown);
        }
        let window = window(b"x\ny", WindowEnd::More);
        let mut entries = WindowEntries::new(&window, Some(base()), 0);
        assert_eq!(entries.next(), Err(EntriesEnd::Undecided));
    }

    pub(super) fn folded(output: &[u8]) -> Vec<String> {
        texts(&window(output, WindowEnd::Over))
    }

    fn texts(window: &Window) -> Vec<String> {
        let mut entries = WindowEntries::new(window, Some(base()), 0);
        let mut texts = Vec::new();
        while let Ok(entry) = entries.next() {
            texts.push(entry.text);
        }
        texts
    }

    fn window(output: &[u8], ending: WindowEnd) -> Window {
        let mut window = Window::new(0);
        window.push(0, output);
        window.close(output.len() as u64, ending);
        window
    }

    fn base() -> OutputCursor {
        OutputCursor::new(ProcessId::new(Uuid::from_u128(1)), AttemptNo(1), StreamSelection::Both)
    }
}
