//! What was promised and is not so.

use std::fmt;

/// So many of them are told; the rest follows from the same.
const MOST: usize = 40;

/// Everything that broke a promise.
#[derive(Debug, Default)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Keeps one more.
    pub fn note(&mut self, what: impl fmt::Display) {
        self.0.push(what.to_string());
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in self.0.iter().take(MOST) {
            writeln!(f, "- {what}")?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => writeln!(f, "- and {more} more"),
        }
    }
}
