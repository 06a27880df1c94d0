//! Removes terminal control sequences from output.

use crate::label::turns_text;
use anstyle_parse::state::{Action, State, state_change};

/// Maximum length of a color sequence that is passed on: the number of bytes between its introducer and its final byte.
const MAX_STYLE_LEN: usize = 64;

/// Control sequences that may be passed on to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalPolicy {
    /// No control sequences: only text is passed on.
    Plain,
    /// Color sequences (SGR): text and the sequences that set its color and style are passed on.
    Colour,
}

/// Filter that removes all sequences that would control a terminal from output, chunk by chunk.
///
/// - Passed on: text, tabs, carriage returns and line feeds, and colors if [`TerminalPolicy`] allows them.
/// - Removed: other control characters, escape sequences, control strings (titles, clipboard, images), and characters
///   that change the direction of text.
/// - Replaced by `U+FFFD`: invalid UTF-8.
///
/// A line feed ends every unfinished sequence, so that a stray introducer hides at most the rest of its line. The
/// result does not depend on how the output is split into chunks.
///
/// # Examples
///
/// ```
/// use longhaul_view::{Sanitizer, TerminalPolicy};
///
/// let mut shown = Vec::new();
/// let mut sanitizer = Sanitizer::new(TerminalPolicy::Colour);
/// sanitizer.push(b"\x1b[3", &mut shown);
/// sanitizer.push(b"1mred \x1b[2Jstays", &mut shown);
/// sanitizer.finish(&mut shown);
/// assert_eq!(shown, b"\x1b[31mred stays\x1b[0m");
/// ```
#[derive(Clone, Debug)]
pub struct Sanitizer {
    terminal: TerminalPolicy,
    state: State,
    /// Parameter and intermediate bytes of the current sequence. A length of [`MAX_STYLE_LEN`] + 1 means that the
    /// sequence is too long.
    sequence: Vec<u8>,
    /// First bytes of a character whose other bytes may be in the next chunk.
    begun: Vec<u8>,
    styled: bool,
}

impl Sanitizer {
    /// Creates a sanitizer for output that is read from its start.
    #[must_use]
    pub const fn new(terminal: TerminalPolicy) -> Self {
        Self { terminal, state: State::Ground, sequence: Vec::new(), begun: Vec::new(), styled: false }
    }

    /// Appends the safe part of `chunk` to `shown`.
    ///
    /// An unfinished character or sequence at the end of the chunk is buffered until the next chunk.
    pub fn push(&mut self, chunk: &[u8], shown: &mut Vec<u8>) {
        shown.reserve(chunk.len());
        if self.begun.is_empty() {
            self.decode(chunk, shown);
        } else {
            let mut joined = std::mem::take(&mut self.begun);
            joined.extend_from_slice(chunk);
            self.decode(&joined, shown);
        }
    }

    /// Ends the output. An unfinished character becomes `U+FFFD`, an unfinished sequence is removed, and an active
    /// color is reset.
    pub fn finish(mut self, shown: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            self.accept(char::REPLACEMENT_CHARACTER, shown);
        }
        if self.styled {
            shown.extend_from_slice(b"\x1b[0m");
        }
    }

    /// Returns true if the output so far does not end in an unfinished character or sequence.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == State::Ground && self.begun.is_empty()
    }

    fn decode(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        let mut read = 0;
        for piece in bytes.utf8_chunks() {
            let mut rest = piece.valid();
            while !rest.is_empty() {
                rest = self.copy(rest, shown);
                let mut chars = rest.chars();
                if let Some(c) = chars.next() {
                    self.accept(c, shown);
                }
                rest = chars.as_str();
            }
            let invalid = piece.invalid();
            read += piece.valid().len() + invalid.len();
            if invalid.is_empty() {
                continue;
            }
            if read == bytes.len() && may_be_completed(invalid) {
                self.begun = invalid.to_vec();
            } else {
                self.accept(char::REPLACEMENT_CHARACTER, shown);
            }
        }
    }

    /// Appends the printable ASCII prefix of a text to `shown`, and returns the remaining text.
    fn copy<'t>(&self, text: &'t str, shown: &mut Vec<u8>) -> &'t str {
        if self.state != State::Ground {
            return text;
        }
        let plain = text.bytes().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(text.len());
        let Some((plain, rest)) = text.split_at_checked(plain) else { return text };
        shown.extend_from_slice(plain.as_bytes());
        rest
    }

    fn accept(&mut self, c: char, shown: &mut Vec<u8>) {
        match c {
            '\n' => {
                self.state = State::Ground;
                shown.push(b'\n');
            }
            ' '..='~' if self.state == State::Ground => shown.push(low_byte(c)),
            '\0'..='\u{7f}' => self.step(low_byte(c), shown),
            // Terminals treat a C1 control character (`U+0080` to `U+009F`) like the escape character followed by a
            // letter.
            '\u{80}'..='\u{9f}' => {
                self.step(b'\x1b', shown);
                self.step(low_byte(c) - 0x40, shown);
            }
            c => self.accept_beyond_ascii(c, shown),
        }
    }

    fn accept_beyond_ascii(&mut self, c: char, shown: &mut Vec<u8>) {
        match self.state {
            State::DcsEntry
            | State::DcsIgnore
            | State::DcsIntermediate
            | State::DcsParam
            | State::DcsPassthrough
            | State::OscString
            | State::SosPmApcString => {}
            State::Anywhere
            | State::CsiEntry
            | State::CsiIgnore
            | State::CsiIntermediate
            | State::CsiParam
            | State::Escape
            | State::EscapeIntermediate
            | State::Ground
            | State::Utf8 => {
                // This character cannot be part of a sequence. The bytes before it were therefore not a sequence, and
                // the character itself is text.
                self.state = State::Ground;
                if !turns_text(c) {
                    shown.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }

    fn step(&mut self, byte: u8, shown: &mut Vec<u8>) {
        let (next, action) = state_change(self.state, byte);
        match action {
            Action::Execute => {
                if matches!(byte, b'\t' | b'\r') {
                    shown.push(byte);
                }
            }
            Action::Collect | Action::Param => {
                if self.sequence.len() <= MAX_STYLE_LEN {
                    self.sequence.push(byte);
                }
            }
            Action::CsiDispatch => {
                if byte == b'm' && self.terminal == TerminalPolicy::Colour {
                    self.style(shown);
                }
            }
            // Printable characters have already been handled, so only the DEL character reaches this branch.
            Action::Print
            | Action::Nop
            | Action::Clear
            | Action::EscDispatch
            | Action::Hook
            | Action::Ignore
            | Action::OscEnd
            | Action::OscPut
            | Action::OscStart
            | Action::Put
            | Action::Unhook
            | Action::BeginUtf8 => {}
        }
        if next != State::Anywhere {
            self.state = next;
        }
        if next == State::Escape {
            self.sequence.clear();
        }
    }

    /// Passes on a color sequence, unless it is private, malformed or longer than [`MAX_STYLE_LEN`].
    fn style(&mut self, shown: &mut Vec<u8>) {
        let plain = self.sequence.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
        if !plain || self.sequence.len() > MAX_STYLE_LEN {
            return;
        }
        shown.extend_from_slice(b"\x1b[");
        shown.extend_from_slice(&self.sequence);
        shown.push(b'm');
        self.styled = self.sequence.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    }
}

/// Removes all sequences that would control a terminal from a complete output. Follows the same rules as [`Sanitizer`].
#[must_use]
pub fn sanitize(output: &[u8], terminal: TerminalPolicy) -> Vec<u8> {
    let mut shown = Vec::new();
    let mut sanitizer = Sanitizer::new(terminal);
    sanitizer.push(output, &mut shown);
    sanitizer.finish(&mut shown);
    shown
}

/// Returns true if `start` is not a complete character but could become a valid one with more bytes.
pub(crate) fn may_be_completed(start: &[u8]) -> bool {
    std::str::from_utf8(start).is_err_and(|error| error.error_len().is_none())
}

/// Returns the code point of a character below `U+0100` as a byte.
const fn low_byte(c: char) -> u8 {
    c as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_tabs_and_line_ends_stay() {
        let text = "größe\t尺寸 🚀\r\n50%\r60%\n";
        assert_eq!(plain(text.as_bytes()), text);
        assert_eq!(colour(text.as_bytes()), text);
    }

    #[test]
    fn colours_stay_only_where_wanted() {
        assert_eq!(plain(b"\x1b[1;38;2;1;2;3mx\x1b[my"), "xy");
        assert_eq!(colour(b"\x1b[1;38:2::1:2:3mx\x1b[my"), "\x1b[1;38:2::1:2:3mx\x1b[my");
    }

    #[test]
    fn colour_left_on_is_reset_at_the_end() {
        assert_eq!(colour(b"\x1b[31mred"), "\x1b[31mred\x1b[0m");
        assert_eq!(colour(b"\x1b[31mred\x1b[0m"), "\x1b[31mred\x1b[0m");
    }

    #[test]
    fn sequence_that_only_looks_like_a_colour_goes() {
        for sequence in ["\x1b[>4;2m", "\x1b[?1m", "\x1b[1 m", "\x1b[1?m"] {
            assert_eq!(colour(format!("a{sequence}b").as_bytes()), "ab", "{sequence:?}");
        }
        let long = format!("a\x1b[{}mb", "1;".repeat(MAX_STYLE_LEN));
        assert_eq!(colour(long.as_bytes()), "ab");
    }

    #[test]
    fn other_sequences_and_control_strings_go() {
        for sequence in [
            "\x1b[2J",
            "\x1b[10;20H",
            "\x1b[?1049h",
            "\x1b[6n",
            "\x1bc",
            "\x1b7",
            "\x1b(0",
            "\x1b]0;title\x07",
            "\x1b]52;c;ZXZpbA==\x1b\\",
            "\x1b]8;;http://example.org/ü\x1b\\",
            "\x1bPq#0;2;0;0;0~-\x1b\\",
            "\x1b_Gf=100;AAAA\x1b\\",
            "\x1b^pm\x1b\\",
            "\x1bXsos\x1b\\",
            "\u{9b}2J",
            "\u{9d}0;title\u{9c}",
            "\u{85}",
        ] {
            assert_eq!(colour(format!("a{sequence}b").as_bytes()), "ab", "{sequence:?}");
        }
    }

    #[test]
    fn stray_controls_go() {
        assert_eq!(plain(b"a\0b\x07c\x08d\x0b\x0ce\x7ff\x18g\x1a"), "abcdefg");
        assert_eq!(plain("a\u{202e}b\u{2066}c\u{200f}d".as_bytes()), "abcd");
        assert_eq!(plain(b"end\x1b"), "end");
    }

    #[test]
    fn unfinished_sequence_hides_at_most_its_line() {
        for introducer in ["\x1b]0;", "\x1bP", "\x1b_", "\x1b[12", "\x1b[", "\x1b", "\x1b("] {
            assert_eq!(colour(format!("a{introducer}\nnext").as_bytes()), "a\nnext", "{introducer:?}");
        }
    }

    #[test]
    fn text_that_no_sequence_holds_ends_the_sequence() {
        assert_eq!(plain("a\u{1b}[12éb".as_bytes()), "aéb");
    }

    #[test]
    fn invalid_bytes_are_replaced_and_swallow_nothing() {
        assert_eq!(plain(b"a\xffb\xe2A\xe2\n\x9b2J"), "a\u{fffd}b\u{fffd}A\u{fffd}\n\u{fffd}2J");
        assert_eq!(plain(b"cut \xf0\x9f\x9a"), "cut \u{fffd}");
    }

    proptest! {
        #[test]
        fn no_control_survives(output in hostile()) {
            let shown = plain(&output);
            prop_assert!(shown.chars().all(harmless), "{shown:?}");
        }

        #[test]
        fn colours_are_the_only_difference_between_terminals(output in hostile()) {
            prop_assert_eq!(without_colours(&colour(&output)), plain(&output));
        }

        #[test]
        fn chunks_do_not_change_the_result(
            output in hostile(),
            cuts in prop::collection::vec(0_usize..96, 0..6),
            terminal in prop_oneof![Just(TerminalPolicy::Plain), Just(TerminalPolicy::Colour)],
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(output.len())).collect();
            cuts.sort_unstable();
            let mut shown = Vec::new();
            let mut sanitizer = Sanitizer::new(terminal);
            let mut from = 0;
            for to in cuts.into_iter().chain([output.len()]) {
                sanitizer.push(&output[from..to], &mut shown);
                from = to;
            }
            sanitizer.finish(&mut shown);
            prop_assert_eq!(shown, sanitize(&output, terminal));
        }

        #[test]
        fn sanitized_output_is_left_as_it_is(output in hostile()) {
            prop_assert_eq!(plain(plain(&output).as_bytes()), plain(&output));
            prop_assert_eq!(colour(colour(&output).as_bytes()), colour(&output));
        }

        #[test]
        fn line_feeds_are_kept(output in hostile()) {
            let feeds = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(feeds(plain(&output).as_bytes()), feeds(&output));
        }
    }

    fn plain(output: &[u8]) -> String {
        String::from_utf8(sanitize(output, TerminalPolicy::Plain)).unwrap()
    }

    fn colour(output: &[u8]) -> String {
        String::from_utf8(sanitize(output, TerminalPolicy::Colour)).unwrap()
    }

    fn harmless(c: char) -> bool {
        matches!(c, '\t' | '\r' | '\n') || !(c.is_control() || turns_text(c))
    }

    /// Removes color sequences without the parser that is tested. Panics on malformed sequences.
    fn without_colours(shown: &str) -> String {
        let mut pieces = shown.split("\x1b[");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let end = piece.find(|c: char| !matches!(c, '0'..='9' | ';' | ':')).unwrap();
            text.push_str(piece[end..].strip_prefix('m').unwrap());
        }
        text
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec![
                &b"\x1b"[..], b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b\\", b"\x1b[31m", b"\x1b[0m", b"\xc2\x9b", b"\xc2\x9c",
                b"\xe2\x80\xae", b"\xe2\x80", b"\xf0\x9f\x9a\x80", b"\xf0\x9f", b"\x9b", b"\x07", b"\r", b"\n", b"\t",
                b"\x18", b"\x7f", b"m", b";", b"?", b"1", b" ",
            ]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 1..4),
            1 => "[a-z]{1,3}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }
}
