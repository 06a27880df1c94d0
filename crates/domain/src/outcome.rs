//! The result and the error that a command reports about its own work.

use crate::json::JsonText;

/// Result and error that a command reported. They do not change the status of the process, which depends on the exit
/// code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedOutcome {
    /// Result of the work.
    pub result: Option<JsonText>,
    /// Error message of the work.
    pub error: Option<String>,
}

impl ReportedOutcome {
    /// Returns true if neither a result nor an error was reported.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.result.is_none() && self.error.is_none()
    }

    /// Returns the outcome after another report. A part that the report omits stays unchanged.
    #[must_use]
    pub fn updated(&self, report: &Self) -> Self {
        Self {
            result: report.result.clone().or_else(|| self.result.clone()),
            error: report.error.clone().or_else(|| self.error.clone()),
        }
    }
}
