//! Shortens texts from clients that are repeated in messages.

/// Maximum length of a repeated name, in bytes; enough to recognize the name.
const MAX_NAME_LEN: usize = 128;

/// Shortens a long name from a client for use in a message.
pub(crate) fn brief(name: &str) -> String {
    shortened(name.to_owned(), MAX_NAME_LEN)
}

/// Shortens a text to at most `longest` bytes, and appends a mark if the text was longer.
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
    fn text_is_cut_between_characters_and_marked() {
        assert_eq!(shortened("äöü".to_owned(), 5), "äö…");
        assert_eq!(shortened("äöü".to_owned(), 6), "äöü");
        assert_eq!(brief(&"x".repeat(100_000)).len(), MAX_NAME_LEN + "…".len());
    }
}
