//! Violations of promises that a test run found.

use std::fmt;

/// Maximum number of findings that are printed. Later findings usually have the same cause.
const MAX_PRINTED: usize = 40;

/// All findings of a test run. A finding describes one violation of a promise.
#[derive(Debug, Default)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Adds a finding.
    pub fn note(&mut self, what: impl fmt::Display) {
        self.0.push(what.to_string());
    }

    /// Returns true if there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in self.0.iter().take(MAX_PRINTED) {
            writeln!(f, "- {what}")?;
        }
        match self.0.len().saturating_sub(MAX_PRINTED) {
            0 => Ok(()),
            more => writeln!(f, "- and {more} more"),
        }
    }
}
