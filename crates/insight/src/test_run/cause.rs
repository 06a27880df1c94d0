//! Cause of a failure. Failures with the same cause form one group.

/// Maximum length of a cause in bytes.
const MAX_CAUSE_LEN: usize = 300;

/// Returns the type and the message of a failure. `#` replaces each number, hexadecimal address and UUID. Failures with
/// equal results most likely have the same cause.
#[must_use]
pub fn cause_of(kind: Option<&str>, message: &str) -> String {
    let mut cause = String::new();
    if let Some(kind) = kind {
        cause.push_str(kind);
        if !message.is_empty() {
            cause.push_str(": ");
        }
    }
    for word in message.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let (text, separator) = match word.char_indices().next_back() {
            Some((at, last)) if !last.is_ascii_alphanumeric() && last != '-' => word.split_at(at),
            Some(_) | None => (word, ""),
        };
        if is_number(text) {
            if !cause.ends_with('#') {
                cause.push('#');
            }
        } else {
            push_without_digits(&mut cause, text);
        }
        cause.push_str(separator);
        if cause.len() >= MAX_CAUSE_LEN {
            break;
        }
    }
    cause.truncate(cause.floor_char_boundary(MAX_CAUSE_LEN));
    cause
}

/// Returns true for a decimal number, a hexadecimal number with at least one decimal digit, or a UUID.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix('-')).unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_hex && digits.len() > 1 && digits.bytes().any(|byte| byte.is_ascii_digit())
        || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn push_without_digits(cause: &mut String, text: &str) {
    for c in text.chars() {
        if !c.is_ascii_digit() {
            cause.push(c);
        } else if !cause.ends_with('#') {
            cause.push('#');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_addresses_and_uuids_do_not_separate_causes() {
        for (message, expected) in [
            ("assert 3 < 41", "E: assert # < #"),
            ("object at 0x7f2a90b1 is gone", "E: object at # is gone"),
            ("user 3f2a9c1b-0000-4000-8000-000000000000 not found", "E: user # not found"),
            ("test_12 failed after -5 ms", "E: test_# failed after # ms"),
            ("no such table: users", "E: no such table: users"),
            ("", "E"),
        ] {
            assert_eq!(cause_of(Some("E"), message), expected, "{message}");
        }
        assert_eq!(cause_of(None, "dead beef"), "dead beef", "words without a digit are no numbers");
    }

    #[test]
    fn cause_of_a_huge_message_is_bounded() {
        assert!(cause_of(None, &"ä1".repeat(100_000)).len() <= MAX_CAUSE_LEN);
    }
}
