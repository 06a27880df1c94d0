//! Quotes words for a shell.

/// Returns the word in a form that a shell reads as one literal word. Quotes are added only if needed.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Formats a command line so that a shell would execute exactly this command.
pub(crate) fn shell_line(words: &[String]) -> String {
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_with_a_query_is_one_word_of_a_shell() {
        assert_eq!(shell_word("redis://h/0?namespace=a&lease=1"), "'redis://h/0?namespace=a&lease=1'");
        assert_eq!(shell_word("sqlite:/a/b.db"), "sqlite:/a/b.db");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
