//! Turns: each turn decides one input, commits the decision and performs its effects.

use crate::engine::{ActionOutcome, EngineShared};
use crate::error::{EngineError, StopReach};
use longhaul_domain::{
    Action, ActionSeq, AwakeTime, Deadline, Decision, Effect, Exit, Input, NoOpReason, Observation, OpId,
    PendingAction, ProcessId, Revision, SlotState,
};
use longhaul_failpoint::crashpoint;
use longhaul_ports::{Change, Lease, StoreError, StoreRejection, StoredProcess, Writer};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Delay before the next request to a store after an error.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of times that a write is sent again because it was not answered.
const MAX_RESENDS: u32 = 5;
/// Maximum number of retries of one turn whose lease was rejected and whose node has then registered again.
const MAX_FENCED_RETRIES: u32 = 3;

/// Source of the record that a decision is based on.
#[derive(Debug)]
enum RecordSource {
    /// The store has just returned the record.
    Told,
    /// The record comes from the record cache: this node owns the process and made the last commit.
    Kept,
    /// The record is this node's own copy, because the store failed with this error.
    Recalled(EngineError),
}

impl EngineShared {
    /// Decides one input for one process, commits the decision and performs its effects.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        id: ProcessId,
        input: &Input,
        expected: Option<Revision>,
    ) -> Result<ActionOutcome, EngineError> {
        // Only the owner writes a record, so its cached record is usually current. If a decision commits nothing, no
        // conflict can reveal an outdated record. In that case, the record is loaded from the store and the decision is
        // made again.
        let mut kept = self.owned.take(id).filter(|_| expected.is_none());
        let mut fenced = 0;
        // A descendant may have been launched after the check that found no live descendant.
        let require_no_live_descendants = matches!(input, Input::Observation(Observation::DescendantsEnded));
        loop {
            let (stored, known) = match kept.take() {
                Some(stored) => (self.with_vitals(stored), RecordSource::Kept),
                None => self.reply(id, input, expected).await?,
            };
            if let Some(expected) = expected
                && expected != stored.revision
            {
                return Err(EngineError::RevisionMoved { id, found: stored.revision });
            }
            // The process has an owner again, so the observation that it has none is outdated.
            if matches!(input, Input::Observation(Observation::OwnerLost)) && stored.owner.is_some() {
                return Ok(ActionOutcome { stored, changed: false, note: None });
            }
            if !matches!(input, Input::Observation(_)) && is_orphan(&stored) {
                self.record_orphan_lost(stored).await?;
                continue;
            }
            let decided = stored.process.decide(&self.context(), &stored.live_stats, input);
            if decided.as_ref().map_or(true, |step| step.events.is_empty()) {
                match known {
                    RecordSource::Told => {}
                    RecordSource::Kept => continue,
                    RecordSource::Recalled(away) => return Err(away),
                }
            }
            let step = decided.map_err(|rejection| EngineError::Rejected { id, rejection })?;
            if let (
                Some(NoOpReason::NoChange),
                Input::Action(Action::Complete { .. } | Action::Fail { .. }),
            ) = (&step.note, input)
            {
                let status = stored.process.status();
                tracing::warn!(%id, %status, "ignored a repeated report of the end of a process");
            }
            let Some(author) = self.author_of(&stored) else {
                return self.enqueue_action(stored, input, &step).await;
            };
            let at = stored.revision;
            match self.carry_out(stored, author, step, ActionSeq(0), require_no_live_descendants).await {
                // Revisions only increase, so a lower revision means that the store has lost data.
                Err(EngineError::Store { source: StoreError::Conflict { found } }) if found < at => {
                    return Err(self.lost(id));
                }
                Err(EngineError::Store { source: StoreError::Conflict { .. } }) => {}
                Err(error @ EngineError::NotFound { .. }) => {
                    return Err(self.lost_if_kept(id).await.unwrap_or(error));
                }
                Err(EngineError::Store { source: StoreError::Fenced { node, epoch } })
                    if fenced < MAX_FENCED_RETRIES =>
                {
                    fenced += 1;
                    if !self.verify_lease(Lease { node: node.clone(), epoch }).await {
                        return Err(StoreError::Fenced { node, epoch }.into());
                    }
                }
                Err(EngineError::Refused { refusal: StoreRejection::DescendantLives { .. } }) => {
                    self.await_descendants(id);
                    return Ok(ActionOutcome { stored: self.load(id).await?, changed: false, note: None });
                }
                other => return other,
            }
        }
    }

    /// Loads the record from the store. If the store does not answer an action, this node's own copy is used, so that a
    /// stop can be carried out although it cannot be recorded.
    async fn reply(
        self: &Arc<Self>,
        id: ProcessId,
        input: &Input,
        expected: Option<Revision>,
    ) -> Result<(StoredProcess, RecordSource), EngineError> {
        let is_seen = matches!(input, Input::Observation(_));
        match self.load(id).await {
            // An observation is made only once, so the decision about it must not be based on an outdated record.
            Ok(stored) if is_seen => match self.lost_if_kept_after(&stored).await {
                Some(lost) => Err(lost),
                None => Ok((stored, RecordSource::Told)),
            },
            Ok(stored) => Ok((stored, RecordSource::Told)),
            Err(error @ EngineError::NotFound { .. }) => Err(self.lost_if_kept(id).await.unwrap_or(error)),
            Err(away) if !is_seen && expected.is_none() => match self.recalled(id, &away).await {
                Some(stored) => Ok((self.with_vitals(stored), RecordSource::Recalled(away))),
                None => Err(away),
            },
            Err(error) => Err(error),
        }
    }

    /// Runs [`turn`](Self::turn) for an action. The future is boxed for callers inside a turn, because the future of a
    /// turn must not contain itself.
    pub(crate) fn turn_boxed(
        self: Arc<Self>,
        id: ProcessId,
        command: Action,
    ) -> Pin<Box<dyn Future<Output = Result<ActionOutcome, EngineError>> + Send>> {
        Box::pin(async move { self.turn(id, &Input::Action(command), None).await })
    }

    /// Executes the pending actions of a process that this node may write, oldest first.
    pub(crate) async fn execute_pending_actions(self: &Arc<Self>, id: ProcessId) -> Result<(), EngineError> {
        loop {
            let stored = self.load(id).await?;
            let Some(&(taken, action)) = stored.pending_actions.first() else {
                return Ok(());
            };
            let Some(author) = self.author_of(&stored) else {
                return Ok(());
            };
            if is_orphan(&stored) {
                self.record_orphan_lost(stored).await?;
                continue;
            }
            let input = Input::Observation(Observation::ActionRequested(action));
            // If the pending action is rejected, the commit only removes it.
            let step = stored.process.decide(&self.context(), &stored.live_stats, &input).unwrap_or_default();
            match self.carry_out(stored, author, step, taken, false).await {
                Ok(_) | Err(EngineError::Store { source: StoreError::Conflict { .. } }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Records that the process lost its owner. This must precede every action on the process, because only the lost
    /// node could have executed the action.
    async fn record_orphan_lost(self: &Arc<Self>, stored: StoredProcess) -> Result<(), EngineError> {
        let lost = Input::Observation(Observation::OwnerLost);
        let step = stored.process.decide(&self.context(), &stored.live_stats, &lost).unwrap_or_default();
        match self.carry_out(stored, Writer::Anyone, step, ActionSeq(0), false).await {
            Ok(_)
            | Err(EngineError::Store { source: StoreError::Conflict { .. } | StoreError::Fenced { .. } }) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        stored: StoredProcess,
        author: Writer,
        step: Decision,
        taken: ActionSeq,
        require_no_live_descendants: bool,
    ) -> Result<ActionOutcome, EngineError> {
        let Decision { events, effects, note } = step;
        if events.is_empty() && taken == ActionSeq(0) {
            self.perform_all(&stored, effects).await;
            let changed = note.is_none();
            let mut stored = stored;
            self.live_stats.overlay(&mut stored);
            return Ok(ActionOutcome { stored, changed, note });
        }
        let mut next = stored.process.clone();
        next.evolve(&events);
        let change = Change {
            op: self.parts.ids.op(),
            author,
            expected: stored.revision,
            next: next.clone(),
            events,
            taken,
            require_no_live_descendants,
        };
        crashpoint!({
            use longhaul_domain::Status;
            match next.status() {
                Status::Pending | Status::Starting => "engine.commit.waiting",
                Status::Running => "engine.commit.running",
                Status::Paused => "engine.commit.paused",
                Status::Stopping => "engine.commit.stopping",
                Status::Completed
                | Status::Failed
                | Status::Timeout
                | Status::Cancelled
                | Status::Interrupted => "engine.commit.ended",
            }
        });
        let revision = match self.commit(change).await {
            Ok(revision) => revision,
            Err(source) => return Err(self.unrecorded(stored, &effects, source).await),
        };
        crashpoint!({
            use longhaul_domain::Status;
            match next.status() {
                Status::Pending | Status::Starting => "engine.committed.waiting",
                Status::Running => "engine.committed.running",
                Status::Paused => "engine.committed.paused",
                Status::Stopping => "engine.committed.stopping",
                Status::Completed
                | Status::Failed
                | Status::Timeout
                | Status::Cancelled
                | Status::Interrupted => "engine.committed.ended",
            }
        });
        let mut after = StoredProcess { process: next, revision, ..stored };
        after.pending_actions.retain(|(no, _)| *no > taken);
        self.settle(&after);
        self.perform_all(&after, effects).await;
        self.live_stats.overlay(&mut after);
        Ok(ActionOutcome { stored: after, changed: true, note })
    }

    /// Commits a change. Sends it again if no answer arrives. The operation id ensures that the change is applied only
    /// once.
    async fn commit(self: &Arc<Self>, change: Change) -> Result<Revision, StoreError> {
        let mut repeats = 0;
        loop {
            match self.parts.store.commit(change.clone()).await {
                Err(StoreError::Unknown { .. }) if repeats < MAX_RESENDS => repeats += 1,
                Err(error)
                    if repeats > 0
                        && (matches!(error, StoreError::Unknown { .. }) || cannot_write(&error)) =>
                {
                    self.catch_up(change.next.id);
                    return Err(error);
                }
                other => return other,
            }
        }
    }

    /// Performs the effects of a write that may have succeeded although its answer was lost. The effects are derived
    /// from the record. No other code path would perform them.
    fn catch_up(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                match core.load(id).await {
                    Ok(stored) => {
                        core.settle(&stored);
                        if core.author_of(&stored).is_some() {
                            core.perform_pending_effects(&stored).await;
                        }
                        return;
                    }
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => {
                        tracing::warn!(%id, %error, "could not find out whether a write was applied; \
                     retrying")
                    }
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Carries out a stop that the store cannot record. The stop is recorded later with the exit of the attempt.
    async fn unrecorded(
        self: &Arc<Self>,
        stored: StoredProcess,
        effects: &[Effect],
        source: StoreError,
    ) -> EngineError {
        if !cannot_write(&source) {
            return source.into();
        }
        let id = stored.process.id;
        let stops: Vec<Effect> = effects.iter().filter(|effect| effect.only_stops()).cloned().collect();
        let is_stop = !stops.is_empty();
        let below = effects.iter().find_map(|effect| match effect {
            Effect::Cascade { force } => Some(*force),
            Effect::Spawn { .. }
            | Effect::Stop { .. }
            | Effect::Kill { .. }
            | Effect::Pause { .. }
            | Effect::Resume { .. }
            | Effect::Signal { .. }
            | Effect::StopOrphan { .. }
            | Effect::Keep { .. }
            | Effect::Relaunch
            | Effect::AwaitDescendants => None,
        });
        match below {
            Some(force) => self.cascade_unrecorded(&stored, force, stops),
            None => self.perform_all(&stored, stops).await,
        }
        // The record in the store is unchanged. Cache it, so that a repeated action does not need the store.
        self.owned.keep(self.here(), &stored);
        if !is_stop {
            return source.into();
        }
        let reached = if self.unrecorded.has(id) { StopReach::Ended } else { StopReach::Told };
        EngineError::StopUnrecorded { id, reached, source }
    }

    /// Updates the engine after a commit: wakes waiters, sets deadlines and updates the monitor.
    pub(crate) fn settle(self: &Arc<Self>, after: &StoredProcess) {
        let id = after.process.id;
        if after.process.status().is_ended() {
            self.live_stats.forget(id);
            self.descendant_ended(after);
        }
        if self.owned.keep(self.here(), after) && !after.process.status().is_ended() {
            self.answer_if_ownerless(id);
        }
        self.arm(after);
        self.update_from(after);
        self.notifier.changed(id);
    }

    /// Executes the pending actions of a process without an owner, in a background task.
    pub(crate) fn answer_if_ownerless(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                let answered = match core.load(id).await {
                    Ok(stored) if stored.owner.is_some() || stored.pending_actions.is_empty() => return,
                    Ok(_) => Box::pin(core.execute_pending_actions(id)).await,
                    Err(error) => Err(error),
                };
                match answered {
                    Ok(()) | Err(EngineError::NotFound { .. }) => return,
                    Err(error) => tracing::warn!(%id, %error, "could not execute a pending action; retrying"),
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Executes the pending actions of a claimed process and then performs its effects, in a background task.
    pub(crate) fn answer_beside(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                let answered = match core.execute_pending_actions(id).await {
                    Ok(()) => core.load(id).await,
                    Err(error) => Err(error),
                };
                match answered {
                    Ok(stored) => return core.perform_pending_effects(&stored).await,
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => {
                        tracing::warn!(%id, %error, "postponed a process start until its pending actions \
                            are executed")
                    }
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Stores a pending action for the node that owns the process.
    async fn enqueue_action(
        self: &Arc<Self>,
        stored: StoredProcess,
        input: &Input,
        step: &Decision,
    ) -> Result<ActionOutcome, EngineError> {
        let action = match input {
            Input::Action(Action::Cancel { cause }) => PendingAction::Cancel { cause: *cause },
            Input::Action(Action::Force { cause }) => PendingAction::Force { cause: *cause },
            Input::Action(Action::Pause) => PendingAction::Pause,
            Input::Action(Action::Resume) => PendingAction::Resume,
            Input::Action(Action::RetryNow) => PendingAction::RetryNow,
            Input::Action(Action::Terminate { cause, force }) => {
                PendingAction::Terminate { cause: *cause, force: *force }
            }
            Input::Action(Action::Signal { signal, target }) => {
                PendingAction::Signal { signal: *signal, target: *target }
            }
            Input::Action(Action::EndSession { policy }) => PendingAction::EndSession { policy: *policy },
            // The attempt was stopped on this node while the store was unreachable, and the process is now running on
            // another node.
            Input::Observation(Observation::Exited { attempt, exit: Exit { stopped: Some(cause), .. } })
                if *attempt < stored.process.attempt && !step.events.is_empty() =>
            {
                PendingAction::Cancel { cause: *cause }
            }
            // Observations are not stored for the owner, because only the owner itself observes a process and reports
            // observations.
            Input::Action(
                Action::Progress(_)
                | Action::ReportOutcome(_)
                | Action::Complete { .. }
                | Action::Fail { .. }
                | Action::Restart
                | Action::Prioritize { .. },
            )
            | Input::Observation(_)
            | Input::Tick => {
                return Ok(ActionOutcome { stored, changed: false, note: None });
            }
        };
        let op: OpId = self.parts.ids.op();
        let id = stored.process.id;
        self.parts.store.enqueue_action(&id, op, action).await?;
        // The owner may have released the process just before this. In that case, any node may execute the action.
        self.answer_if_ownerless(id);
        Ok(ActionOutcome { stored, changed: true, note: None })
    }
}

/// Returns true if a command holds a slot but has no owner, because the process was taken away from its node.
pub(crate) fn is_orphan(stored: &StoredProcess) -> bool {
    let holds = stored.process.state.slot_state() == SlotState::Holding;
    holds && stored.owner.is_none() && stored.process.spec.command().is_some()
}

/// Returns true if the error means that the store could not write.
pub(crate) const fn cannot_write(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Refused(StoreRejection::Full)
    )
}
