//! Ends sessions. The end of a session applies the session policy of each of its processes.

use crate::detached::run_to_completion;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::tree::MemberOutcome;
use longhaul_domain::{Action, NoOpReason, Process, ProcessId, SessionId, SessionPolicy, Timestamp};
use longhaul_ports::{ProcessFilter, StoredProcess};
use std::collections::BTreeMap;

impl Engine {
    /// Ends a session: each live process of the session follows its own policy, or `policy` if that is given. Processes
    /// of other sessions are not affected, even if they are descendants.
    ///
    /// A session can be used again after its end: new processes can join, and the next end applies to them and to
    /// remaining processes. If `policy` is keep, the grace period of an earlier end is cancelled too.
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
        // Of the policies, only a cancel applies to orphans. The other policies apply only to live processes.
        if policy == Some(SessionPolicy::Cancel) || policy.is_none() {
            let left = self.core.orphaned_matching(&filter).await?;
            let is_told =
                |stored: &StoredProcess| stored.process.spec.on_session_end == SessionPolicy::Cancel;
            found.extend(left.into_iter().filter(|stored| policy.is_some() || is_told(stored)));
        }
        let ids: Vec<ProcessId> = found.into_iter().map(|stored| stored.process.id).collect();
        let (engine, command) = (self.clone(), Action::EndSession { policy });
        run_to_completion(async move {
            let mut outcomes = engine.tell(ids, &command).await;
            note_cancelled_ancestors(&mut outcomes);
            Ok(outcomes)
        })
        .await
    }
}

/// Marks the live processes that will be cancelled together with an ancestor of the same session, earlier than by their
/// own policy.
fn note_cancelled_ancestors(outcomes: &mut [MemberOutcome]) {
    let cancelled_at: BTreeMap<ProcessId, Timestamp> = outcomes
        .iter()
        .filter_map(|member| Some((member.id, cancelled_at(&member.outcome.as_ref().ok()?.stored.process)?)))
        .collect();
    for outcome in outcomes.iter_mut().filter_map(|member| member.outcome.as_mut().ok()) {
        let process = &outcome.stored.process;
        let own = cancelled_at.get(&process.id);
        let mut above = process.lineage.ancestors.iter().filter_map(|ancestor| cancelled_at.get(ancestor));
        if !process.status().is_ended() && above.any(|above| own.is_none_or(|own| above < own)) {
            outcome.note = Some(NoOpReason::EndsWithAncestor);
        }
    }
}

/// Returns the time at which a process is cancelled with all its descendants. Returns `Timestamp::default()` if this
/// cancellation is already in progress.
fn cancelled_at(process: &Process) -> Option<Timestamp> {
    if process.cascade.is_some() { Some(Timestamp::default()) } else { process.session_deadline() }
}
