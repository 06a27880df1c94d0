//! Checks that the texts of the project do not use words that readers found hard to understand.

use std::fmt;

/// Banned words, each with the words to write instead.
const BANNED: &[(&str, &str)] = &[
    ("whoever", "the caller, the client, another node"),
    ("anew", "again"),
    ("so many", "a number of, at most N"),
    ("is told", "receives, is notified"),
    ("are told", "receive, are notified"),
    ("was told", "received, was notified"),
    ("tells of", "reports"),
    ("let go", "delete, release"),
    ("lets go", "deletes, releases"),
    ("goes on", "continues"),
    ("as ever", "as usual"),
    ("in good order", "cleanly"),
    ("all the same", "anyway"),
    ("sign of life", "heartbeat"),
    ("check sum", "checksum"),
    ("many machines", "cluster"),
    ("somebody", "a person, a client, a task"),
    ("nobody", "no client, no task"),
    ("MOST_", "MAX_"),
    ("PATIENCE", "TIMEOUT"),
];

/// An occurrence of a banned word in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    path: String,
    line: usize,
    word: &'static str,
    instead: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, word, instead } = self;
        write!(f, "{path}:{line} says {word:?}: write {instead}")
    }
}

/// Finds the banned words in a text. The table of examples in CONTRIBUTING.md may quote them.
pub(crate) fn breaches(path: &str, text: &str) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut is_example = false;
    for (line, text) in (1..).zip(text.lines()) {
        is_example = text == "| before | after |" || is_example && text.starts_with('|');
        if is_example {
            continue;
        }
        for (word, instead) in BANNED.iter().filter(|(word, _)| has_word(text, word)) {
            found.push(Breach { path: path.to_owned(), line, word, instead });
        }
    }
    found
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !is_part(before) && (word.ends_with('_') || !is_part(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_words_are_found_as_whole_words() {
        assert_eq!(breaches("a.md", "A client is told.\nMOST_LINES").len(), 2);
        assert!(breaches("a.md", "renewed, is tolded, ALMOST_LINES").is_empty());
    }
}
