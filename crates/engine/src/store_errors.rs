//! Logs store requests that failed.

use crate::engine::EngineShared;
use crate::error_chain::with_causes;
use longhaul_domain::ProcessId;
use std::error::Error;

impl EngineShared {
    /// Logs a store request that failed and will be repeated, with all causes. While the store is known to be
    /// unreachable, the log level is only debug, because other code logs the outage itself.
    pub(crate) fn log_retry(&self, id: Option<ProcessId>, error: &(dyn Error + 'static), what: &'static str) {
        let id = id.map(tracing::field::display);
        let error = with_causes(error);
        match self.parts.store.away_since() {
            None => tracing::warn!(id, %error, "{what}"),
            Some(_) => tracing::debug!(id, %error, "{what}"),
        }
    }
}
