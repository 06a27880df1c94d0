//! What callers sent, as far as it is repeated to them.

/// So much of a name, in bytes, tells which was meant.
const MAX_NAME_LEN: usize = 128;

/// A name of a caller's as messages repeat it: its begin, if it is long.
pub(crate) fn brief(name: &str) -> String {
    shortened(name.to_owned(), MAX_NAME_LEN)
}

/// A text of at most so many bytes, and a mark if it was longer.
pub(crate) fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_letters_and_says_so() {
        assert_eq!(shortened("äöü".to_owned(), 5), "äö…");
        assert_eq!(shortened("äöü".to_owned(), 6), "äöü");
        assert_eq!(brief(&"x".repeat(100_000)).len(), MAX_NAME_LEN + "…".len());
    }
}
