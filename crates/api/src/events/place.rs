//! Converts cursors in the event log to text and back.

use crate::error::ApiError;
use longhaul_engine::ports::EventCursor;

/// Prefix of a cursor in text form. It shows clients that a cursor is not a number to calculate with.
const MARK: &str = "e-";
/// Text form of the cursor before the oldest stored event.
pub(crate) const START: &str = "start";

/// Formats a cursor for clients. The text is valid on every node as long as the log still has the events that follow
/// the cursor.
pub(crate) fn cursor_text(cursor: EventCursor) -> String {
    format!("{MARK}{:x}", cursor.0)
}

/// Parses a cursor. Returns `None` for [`START`].
pub(crate) fn read_cursor(text: &str) -> Result<Option<EventCursor>, ApiError> {
    if text == START {
        return Ok(None);
    }
    let digits = text.strip_prefix(MARK).filter(|digits| digits.bytes().all(is_digit));
    match digits.map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(place)) => Ok(Some(EventCursor(place))),
        Some(Err(_)) | None => {
            Err(ApiError::unreadable("cursor", text, &"the text does not have the form of a cursor")
                .help("use the cursor of the last event, or omit it"))
        }
    }
}

const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_read_as_it_was_given() {
        for place in [0, 1, 4_711, u64::MAX] {
            assert_eq!(read_cursor(&cursor_text(EventCursor(place))).unwrap(), Some(EventCursor(place)));
        }
        assert_eq!(read_cursor("start").unwrap(), None);
    }

    #[test]
    fn malformed_cursor_is_refused() {
        for text in ["", "e-", "7", "e-+7", "e-G", "e-A", "e-ffffffffffffffff0", "E-7", "e-1 "] {
            let problem = read_cursor(text).unwrap_err().into_problem();
            assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{text:?}");
        }
    }
}
