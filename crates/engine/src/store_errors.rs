//! Questions that the store did not answer.

use crate::engine::EngineShared;
use crate::error_chain::with_causes;
use longhaul_domain::ProcessId;
use std::error::Error;

impl EngineShared {
    /// Tells of a question that the store did not answer and that is asked again, with all causes. A store that is known
    /// to be away tells of its absence itself, once and not for each question.
    pub(crate) fn unanswered(
        &self,
        id: Option<ProcessId>,
        error: &(dyn Error + 'static),
        what: &'static str,
    ) {
        let id = id.map(tracing::field::display);
        let error = with_causes(error);
        match self.parts.store.away_since() {
            None => tracing::warn!(id, %error, "{what}"),
            Some(_) => tracing::debug!(id, %error, "{what}"),
        }
    }
}
