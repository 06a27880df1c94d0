//! Length of text inside JSON, in bytes, for responses of limited size.

/// Returns the number of bytes that a text needs inside the quotes of a JSON string.
///
/// # Examples
///
/// ```
/// use longhaul_view::json_length;
///
/// assert_eq!(json_length("say \"é\"\n"), 12);
/// ```
#[must_use]
pub fn json_length(text: &str) -> usize {
    text.bytes().map(byte_length).sum()
}

/// Returns the number of bytes that a character needs inside a JSON string.
pub(crate) fn char_length(c: char) -> usize {
    if c.is_ascii() { byte_length(u8::try_from(c).unwrap_or(0)) } else { c.len_utf8() }
}

/// Returns the longest prefix of a text that needs at most `room` bytes inside a JSON string.
pub(crate) fn fitting(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (place, c) in text.char_indices() {
        used += char_length(c);
        if used > room {
            return text.get(..place).unwrap_or_default();
        }
    }
    text
}

const fn byte_length(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn length_is_that_of_the_serialised_text(text in "(?s).{0,40}|[\\x00-\\x7f]{0,40}") {
            prop_assert_eq!(json_length(&text) + 2, serde_json::to_string(&text).unwrap().len());
            prop_assert_eq!(text.chars().map(char_length).sum::<usize>(), json_length(&text));
        }

        #[test]
        fn fitting_begin_is_the_longest(text in "(?s).{0,20}", room in 0_usize..40) {
            let begin = fitting(&text, room);
            prop_assert!(text.starts_with(begin) && json_length(begin) <= room);
            if let Some(next) = text[begin.len()..].chars().next() {
                prop_assert!(json_length(begin) + char_length(next) > room);
            }
        }
    }
}
