//! Cursors: positions in the output of a process, as text that clients store and send back later.

use longhaul_domain::{AttemptNo, ProcessId};
use std::fmt;

/// First character of a cursor's text, which identifies the version of the text format.
const VERSION: char = '1';
/// Number of check digits at the end of a cursor's text.
const CHECK: usize = 4;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Position in the output of an attempt.
///
/// The text form is short, can be part of a URL, and never expires: it contains offsets into the output log and nothing
/// about the manager that created it. The check digits at the end of the text detect typing errors and cursors of other
/// processes. The check digits are not a security feature.
///
/// # Examples
///
/// ```
/// use longhaul_domain::{AttemptNo, ProcessId};
/// use longhaul_view::{StreamSelection, OutputCursor};
///
/// let owner: ProcessId = "6b1f0a52-4d36-4b1e-9a57-0b6f3c0d9e11".parse()?;
/// let cursor = OutputCursor::new(owner, AttemptNo(1), StreamSelection::Both).at(4_096);
/// assert_eq!(OutputCursor::parse(&cursor.to_string(), owner)?, cursor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputCursor {
    /// Process that wrote the output.
    pub owner: ProcessId,
    /// Attempt that wrote the output.
    pub attempt: AttemptNo,
    /// Streams that the reader selected.
    pub choice: StreamSelection,
    /// Offset in the output log, in bytes.
    pub offset: u64,
    /// Number of bytes of the folded text after `offset` that have already been shown.
    pub skip: u32,
    /// Line number of the line that contains the offset, counted from 1; `None` if unknown.
    pub line: Option<u64>,
}

/// Output streams that a reader selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSelection {
    /// Both streams, mixed in the order in which their output was written.
    Both,
    /// Only standard output.
    Stdout,
    /// Only standard error.
    Stderr,
}

/// Reason why a text is not a valid cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorError {
    /// The text does not have the form of a cursor.
    Malformed,
    /// The text has a version of the format that this program does not support.
    Version,
    /// The check digits do not match. The text contains a typing error, or the cursor belongs to another process.
    Foreign,
}

impl OutputCursor {
    /// Creates a cursor at the start of an output.
    #[must_use]
    pub const fn new(owner: ProcessId, attempt: AttemptNo, choice: StreamSelection) -> Self {
        Self { owner, attempt, choice, offset: 0, skip: 0, line: Some(1) }
    }

    /// Returns a cursor at another offset of the same output, with an unknown line number.
    #[must_use]
    pub const fn at(self, offset: u64) -> Self {
        Self { offset, skip: 0, line: None, ..self }
    }

    /// Returns a cursor at another offset of the same output, with the given line number.
    #[must_use]
    pub const fn on_line(self, offset: u64, line: Option<u64>) -> Self {
        Self { offset, skip: 0, line, ..self }
    }

    /// Parses the text of a cursor into the output of the process `owner`.
    ///
    /// # Errors
    ///
    /// Returns [`CursorError`] if the text is not a valid cursor, or if the cursor belongs to another process.
    pub fn parse(text: &str, owner: ProcessId) -> Result<Self, CursorError> {
        let (body, check) = text.trim().rsplit_once('-').ok_or(CursorError::Malformed)?;
        let mut letters = body.chars();
        match letters.next() {
            Some(VERSION) => {}
            Some(digit) if digit.is_ascii_digit() => return Err(CursorError::Version),
            Some(_) | None => return Err(CursorError::Malformed),
        }
        let choice = match letters.next() {
            Some('b') => StreamSelection::Both,
            Some('o') => StreamSelection::Stdout,
            Some('e') => StreamSelection::Stderr,
            Some(_) | None => return Err(CursorError::Malformed),
        };
        let (places, line) = match letters.as_str().split_once('~') {
            Some((places, line)) => (places, Some(number(line)?)),
            None => (letters.as_str(), None),
        };
        let mut places = places.split('.');
        let mut place = || places.next().map(number).transpose();
        let (attempt, offset, skip) = (place()?, place()?, place()?);
        let (Some(attempt), Some(offset), None) = (attempt, offset, place()?) else {
            return Err(CursorError::Malformed);
        };
        let narrow = |number: u64| u32::try_from(number).map_err(|_| CursorError::Malformed);
        if check != check_of(body, owner) {
            return Err(CursorError::Foreign);
        }
        let (attempt, skip) = (AttemptNo(narrow(attempt)?), narrow(skip.unwrap_or(0))?);
        Ok(Self { owner, attempt, choice, offset, skip, line })
    }
}

impl fmt::Display for OutputCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.choice {
            StreamSelection::Both => 'b',
            StreamSelection::Stdout => 'o',
            StreamSelection::Stderr => 'e',
        };
        let mut body = format!("{VERSION}{letter}");
        digits(u64::from(self.attempt.0), &mut body);
        body.push('.');
        digits(self.offset, &mut body);
        if self.skip > 0 {
            body.push('.');
            digits(u64::from(self.skip), &mut body);
        }
        if let Some(line) = self.line {
            body.push('~');
            digits(line, &mut body);
        }
        write!(f, "{body}-{}", check_of(&body, self.owner))
    }
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is not a cursor",
            Self::Version => "the cursor has another version",
            Self::Foreign => "the cursor is misspelled, or belongs to another process",
        })
    }
}

impl std::error::Error for CursorError {}

fn digits(mut number: u64, out: &mut String) {
    let begin = out.len();
    loop {
        let digit = usize::try_from(number % 36).unwrap_or(0);
        out.insert(begin, char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
        number /= 36;
        if number == 0 {
            return;
        }
    }
}

fn number(text: &str) -> Result<u64, CursorError> {
    let spelt = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    if !text.bytes().all(spelt) {
        return Err(CursorError::Malformed);
    }
    u64::from_str_radix(text, 36).map_err(|_| CursorError::Malformed)
}

/// Returns the check digits of a text. They are computed with FNV-1a from the text and the process id.
fn check_of(body: &str, owner: ProcessId) -> String {
    let bytes = body.bytes().chain(owner.as_uuid().as_bytes().iter().copied());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut text = String::new();
    digits(hash ^ (hash >> 32), &mut text);
    text.split_off(text.len().saturating_sub(CHECK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn text_of_a_cursor_stays_the_same() {
        let cursor = OutputCursor::new(owner(7), AttemptNo(2), StreamSelection::Stderr);
        assert_eq!(cursor.on_line(1_000_000, Some(40)).to_string(), "1e2.lfls~14-2m4t");
        assert_eq!(cursor.at(0).to_string(), "1e2.0-4hjg");
    }

    #[test]
    fn text_that_is_none_is_refused_with_a_reason() {
        let refused = |text: &str| OutputCursor::parse(text, owner(7)).unwrap_err();
        for text in
            ["", "1", "-", "1b-x", "1b1-x", "1x1.0-aaaa", "1b1.0.0.0-aaaa", "1b+1.0-aaaa", "b1.0-aaaa"]
        {
            assert_eq!(refused(text), CursorError::Malformed, "{text:?}");
        }
        assert_eq!(refused("2b1.0-aaaa"), CursorError::Version);
        let foreign = OutputCursor::new(owner(8), AttemptNo(1), StreamSelection::Both).to_string();
        assert_eq!(refused(&foreign), CursorError::Foreign);
        assert_eq!(refused(&foreign.replace(".0", ".1")), CursorError::Foreign);
    }

    proptest! {
        #[test]
        fn every_cursor_is_read_back(
            attempt in any::<u32>(), offset in any::<u64>(), skip in any::<u32>(), line in any::<Option<u64>>(),
            choice in prop_oneof![Just(StreamSelection::Both), Just(StreamSelection::Stdout), Just(StreamSelection::Stderr)],
        ) {
            let cursor = OutputCursor { owner: owner(1), attempt: AttemptNo(attempt), choice, offset, skip, line };
            let text = cursor.to_string();
            prop_assert_eq!(OutputCursor::parse(&text, owner(1)), Ok(cursor));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.~".contains(&byte)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}|1[boe][0-9a-z.~]{0,12}-[0-9a-z]{0,5}") {
            let _ = OutputCursor::parse(&text, owner(1));
        }
    }

    fn owner(id: u128) -> ProcessId {
        ProcessId::new(Uuid::from_u128(id))
    }
}
