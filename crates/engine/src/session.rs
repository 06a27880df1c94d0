//! The end of a session, which applies the policy of each of its processes.

use crate::detached::run_to_completion;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::tree::MemberOutcome;
use longhaul_domain::{Action, ProcessId, SessionId, SessionPolicy};
use longhaul_ports::{ProcessFilter, StoredProcess};

impl Engine {
    /// Ends a session: each live process of the session follows its own policy, or `policy` if that is given. Processes
    /// of other sessions are not affected, even as descendants.
    ///
    /// A session can be used again after its end: new processes can join, and the next end applies to them and to
    /// remaining processes. A `policy` of keep also cancels the grace period of an earlier end.
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
        // Orphans can only be cancelled; the other policies apply to live processes only.
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
