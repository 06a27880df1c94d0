//! One turn: decide, commit, perform.

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

/// The wait before a store that failed is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// A write without an answer is sent again so often before it counts as failed.
const MAX_RESENDS: u32 = 5;
/// So often one turn goes on after its lease was refused and the node has joined anew.
const MAX_FENCED_RETRIES: u32 = 3;

/// Where a record comes from on which something is decided.
#[derive(Debug)]
enum RecordSource {
    /// The store told it just now.
    Told,
    /// This node committed it last, and nobody else does.
    Kept,
    /// The store does not answer, for this reason, and this is what it told last.
    Recalled(EngineError),
}

impl EngineShared {
    /// Decides one input for one process and makes it so.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        id: ProcessId,
        input: &Input,
        expected: Option<Revision>,
    ) -> Result<ActionOutcome, EngineError> {
        // Only the owner moves a record on, so that what it committed last is usually what the store has. Where nothing
        // would be committed, nothing would tell that it is old: then the store is asked.
        let mut kept = self.owned.take(id).filter(|_| expected.is_none());
        let mut fenced = 0;
        // Between the look that saw nobody left and this somebody may have joined.
        let require_no_live_descendants = matches!(input, Input::Observation(Observation::DescendantsEnded));
        loop {
            let (stored, known) = match kept.take() {
                Some(stored) => (self.with_vitals(stored), RecordSource::Kept),
                None => self.told(id, input, expected).await?,
            };
            if let Some(expected) = expected
                && expected != stored.revision
            {
                return Err(EngineError::RevisionMoved { id, found: stored.revision });
            }
            // Whoever has it now knows more than whoever saw it without an owner.
            if matches!(input, Input::Observation(Observation::OwnerLost)) && stored.owner.is_some() {
                return Ok(ActionOutcome { stored, changed: false, note: None });
            }
            if !matches!(input, Input::Observation(_)) && is_orphan(&stored) {
                self.give_up_orphan(stored).await?;
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
                tracing::warn!(%id, %status, "its end was reported again: the first report stays");
            }
            let Some(author) = self.author_of(&stored) else {
                return self.leave_action(stored, input, &step).await;
            };
            let at = stored.revision;
            match self.carry_out(stored, author, step, ActionSeq(0), require_no_live_descendants).await {
                // Revisions only grow, so that it is the store that went back.
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

    /// The record as the store tells it. While it does not answer, what this node keeps of its own work does for a command,
    /// whose stop then goes ahead unrecorded.
    async fn told(
        self: &Arc<Self>,
        id: ProcessId,
        input: &Input,
        expected: Option<Revision>,
    ) -> Result<(StoredProcess, RecordSource), EngineError> {
        let is_seen = matches!(input, Input::Observation(_));
        match self.load(id).await {
            // What was seen is told once: it must not be judged by a record from before it began.
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

    /// The same for a caller that is itself part of a turn, whose future must not contain itself.
    pub(crate) fn turn_boxed(
        self: Arc<Self>,
        id: ProcessId,
        command: Action,
    ) -> Pin<Box<dyn Future<Output = Result<ActionOutcome, EngineError>> + Send>> {
        Box::pin(async move { self.turn(id, &Input::Action(command), None).await })
    }

    /// Answers the orders that were left for this node, oldest first.
    pub(crate) async fn execute_pending_actions(self: &Arc<Self>, id: ProcessId) -> Result<(), EngineError> {
        loop {
            let stored = self.load(id).await?;
            let Some(&(taken, wish)) = stored.pending_actions.first() else {
                return Ok(());
            };
            let Some(author) = self.author_of(&stored) else {
                return Ok(());
            };
            if is_orphan(&stored) {
                self.give_up_orphan(stored).await?;
                continue;
            }
            let input = Input::Observation(Observation::ActionRequested(wish));
            // A wish that the rules refuse is answered too: by a commit that takes it and changes nothing.
            let step = stored.process.decide(&self.context(), &stored.live_stats, &input).unwrap_or_default();
            match self.carry_out(stored, author, step, taken, false).await {
                Ok(_) | Err(EngineError::Store { source: StoreError::Conflict { .. } }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Of work that was taken from its node it is decided first that it is lost: whatever is asked of it could only be
    /// done there.
    async fn give_up_orphan(self: &Arc<Self>, stored: StoredProcess) -> Result<(), EngineError> {
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

    /// Commits, and sends a write without an answer again: the op makes sure that it counts once.
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

    /// The write failed after an answer was lost: if it was done all the same, nobody else would do what follows from
    /// it. That can be told from the record alone.
    fn catch_up(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                match core.load(id).await {
                    Ok(stored) => {
                        core.settle(&stored);
                        if core.author_of(&stored).is_some() {
                            core.perform_wanted(&stored).await;
                        }
                        return;
                    }
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => tracing::warn!(%id, %error, "it cannot be told yet whether it was written"),
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// A stop goes ahead even when the store cannot commit it; the exit record of the attempt tells of it later.
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
        // It is still what the store has: whoever asks again must not need the store for it.
        self.owned.keep(self.here(), &stored);
        if !is_stop {
            return source.into();
        }
        let reached = if self.unrecorded.has(id) { StopReach::Ended } else { StopReach::Told };
        EngineError::StopUnrecorded { id, reached, source }
    }

    /// After a commit: tell those who wait, and set the next deadline.
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
        self.attend_to(after);
        self.hub.changed(id);
    }

    /// Answers the orders of a process that nobody owns any more; returns at once.
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
                    Err(error) => tracing::warn!(%id, %error, "an order waits until it can be answered"),
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Answers the orders that a process brought along from the queue, then performs what it wants; returns at once.
    pub(crate) fn answer_beside(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                let answered = match core.execute_pending_actions(id).await {
                    Ok(()) => core.load(id).await,
                    Err(error) => Err(error),
                };
                match answered {
                    Ok(stored) => return core.perform_wanted(&stored).await,
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => tracing::warn!(%id, %error, "a start waits until orders can be answered"),
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Leaves an order for the node that owns the process.
    async fn leave_action(
        self: &Arc<Self>,
        stored: StoredProcess,
        input: &Input,
        step: &Decision,
    ) -> Result<ActionOutcome, EngineError> {
        let wish = match input {
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
            // It was stopped here for good while the store could not be told, and runs elsewhere meanwhile.
            Input::Observation(Observation::Exited { attempt, exit: Exit { stopped: Some(cause), .. } })
                if *attempt < stored.process.attempt && !step.events.is_empty() =>
            {
                PendingAction::Cancel { cause: *cause }
            }
            // Only the owner sees and reports what happens to a process.
            Input::Action(
                Action::Progress(_)
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
        self.parts.store.enqueue_action(&id, op, wish).await?;
        // Its owner may have let go of it just before: then the order is anybody's to answer.
        self.answer_if_ownerless(id);
        Ok(ActionOutcome { stored, changed: true, note: None })
    }
}

/// Whether it holds a slot and was taken from its node.
pub(crate) fn is_orphan(stored: &StoredProcess) -> bool {
    let holds = stored.process.state.standing() == SlotState::Holding;
    holds && stored.owner.is_none() && stored.process.spec.command().is_some()
}

/// Whether a store that answers so could write nothing.
pub(crate) const fn cannot_write(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Refused(StoreRejection::Full)
    )
}
