//! The end of a session: what each of its processes declared for it happens.

use crate::detached::run_to_completion;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::tree::MemberOutcome;
use longhaul_domain::{Action, ProcessId, SessionId, SessionPolicy};
use longhaul_ports::{ProcessFilter, StoredProcess};

impl Engine {
    /// Tells every live process of a session that it ended; `policy` instead of what each declared. Nothing of another
    /// session is touched, descendants included.
    ///
    /// A session is a label and may be used again: it takes new processes after its end, and another end reaches them and
    /// whoever is left. A `policy` of keep takes back the grace that an end before gave.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn end_session(
        &self,
        session: &SessionId,
        policy: Option<SessionPolicy>,
    ) -> Result<Vec<MemberOutcome>, EngineError> {
        let filter = ProcessFilter {
            statuses: crate::cascade::LIVE.to_vec(),
            session: Some(session.clone()),
            ..ProcessFilter::default()
        };
        let mut found = self.core.all(&filter).await?;
        // A grace or a word to keep it is for what can still hear it.
        if policy == Some(SessionPolicy::Cancel) || policy.is_none() {
            let left = self.core.left_of(&filter).await?;
            let is_told =
                |stored: &StoredProcess| stored.process.spec.on_session_end == SessionPolicy::Cancel;
            found.extend(left.into_iter().filter(|stored| policy.is_some() || is_told(stored)));
        }
        let ids: Vec<ProcessId> = found.into_iter().map(|stored| stored.process.id).collect();
        let (engine, command) = (self.clone(), Action::EndSession { policy });
        run_to_completion(async move { Ok(engine.tell(ids, &command).await) }).await
    }
}
