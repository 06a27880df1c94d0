//! The result and the error that a command reports about its own work.

use crate::json::JsonText;

/// Facts that a command reported about its work. These facts do not change the status of the process, because the
/// status depends on the exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedOutcome {
    /// Result of the work.
    pub result: Option<JsonText>,
    /// Error message of the work.
    pub error: Option<String>,
    /// Tokens that the agent used.
    pub tokens: Option<TokenCounts>,
    /// Id that the tool of the agent gave to the conversation or to the remote session.
    pub agent_session: Option<String>,
}

/// Numbers of tokens that an agent used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Input tokens, without the tokens that were read from a cache.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached: u64,
}

impl ReportedOutcome {
    /// Returns true if nothing was reported.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.result.is_none() && self.error.is_none() && self.tokens.is_none() && self.agent_session.is_none()
    }

    /// Returns the outcome after another report. A part that the report omits stays unchanged.
    #[must_use]
    pub fn updated(&self, report: &Self) -> Self {
        Self {
            result: report.result.clone().or_else(|| self.result.clone()),
            error: report.error.clone().or_else(|| self.error.clone()),
            tokens: report.tokens.or(self.tokens),
            agent_session: report.agent_session.clone().or_else(|| self.agent_session.clone()),
        }
    }

    /// Returns this outcome, completed with facts from the output. The output never replaces a result or an error that
    /// the command itself reported, because the report is more reliable.
    #[must_use]
    pub fn completed_from(&self, read: &Self) -> Self {
        Self {
            result: self.result.clone().or_else(|| read.result.clone()),
            error: self.error.clone().or_else(|| read.error.clone()),
            ..self.updated(read)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_reported_itself_wins_over_what_its_output_says() {
        let told =
            ReportedOutcome { result: JsonText::checked("1".to_owned()).ok(), ..ReportedOutcome::default() };
        let tokens = |output| Some(TokenCounts { output, ..TokenCounts::default() });
        let read = ReportedOutcome {
            result: JsonText::checked("2".to_owned()).ok(),
            error: Some("late".to_owned()),
            tokens: tokens(7),
            agent_session: Some("s".to_owned()),
        };
        let both = told.completed_from(&read);
        assert_eq!(both, ReportedOutcome { result: told.result, ..read.clone() });
        let more = both.completed_from(&ReportedOutcome { tokens: tokens(9), ..ReportedOutcome::default() });
        assert_eq!(more, ReportedOutcome { tokens: tokens(9), ..both });
        assert!(ReportedOutcome::default().is_empty() && !read.is_empty());
    }
}
