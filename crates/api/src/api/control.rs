//! What is asked of processes.

use crate::api::Api;
use crate::convert::{outcome, outcomes};
use crate::error::ApiError;
use futures_util::{StreamExt, stream};
use longhaul_domain::{Action, Level, Priority, ProcessId, Revision, Signal, SignalTarget, StopCause};
use longhaul_engine::{ActionOutcome, Engine, EngineError, MemberOutcome};
use longhaul_wire::api::{
    ActionReply, CancelLevelRequest, CancelRequest, OutcomesReply, PauseReply, PauseRequest, PriorityRequest,
    SignalRequest,
};
use std::time::Duration;

/// The node that a process runs on has to do what was asked, which takes it a moment.
const ACTION_TIMEOUT: Duration = Duration::from_secs(1);
/// So many processes are waited for side by side.
const MAX_CONCURRENT: usize = 32;
/// The word for what another node was asked to do and has not done yet.
const ASKED: &str = "asked";

impl Api {
    /// Ends a process with all its descendants, unless it is to be alone.
    ///
    /// # Errors
    /// Nobody is meant, or the process forbids it.
    pub async fn cancel(
        &self,
        reference: &str,
        CancelRequest { force, no_descendants }: CancelRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        let cause = StopCause::User;
        let answer = match (no_descendants, force) {
            (false, force) => engine.terminate(id, force, expected).await?,
            (true, true) => engine.command(id, Action::Force { cause }, expected).await?,
            (true, false) => engine.command(id, Action::Cancel { cause }, expected).await?,
        };
        Ok(heard(engine, answer).await)
    }

    /// Stops all processes on one level of one tree, or of all trees, with their descendants.
    ///
    /// # Errors
    /// No level is named, or nobody is meant.
    pub async fn cancel_level(&self, request: CancelLevelRequest) -> Result<OutcomesReply, ApiError> {
        let engine = &self.engine;
        let Some(level) = request.level.map(Level) else {
            return Err(ApiError::invalid("cancel", "`level` is missing")
                .help("give `level`: 0 for roots, 1 for their children, and so on"));
        };
        let tree = match request.tree.as_deref() {
            Some(reference) => Some(engine.find(reference).await?),
            None => None,
        };
        let told = engine.terminate_level(level, tree, request.force).await?;
        Ok(outcomes(engine, told).await)
    }

    /// Halts a process with all its descendants, or alone if asked. Of one on another node it says `asked` if that has not done it within
    /// a second.
    ///
    /// # Errors
    /// Nobody is meant, or the process forbids it.
    pub async fn pause(
        &self,
        reference: &str,
        request: PauseRequest,
        expected: Option<Revision>,
    ) -> Result<PauseReply, ApiError> {
        let engine = &self.engine;
        self.pace(reference, request, Action::Pause, expected, |id| engine.pause_tree(id)).await
    }

    /// Lets a process go on with all its descendants, or alone if asked. As for [`pause`](Self::pause), another node gets a second.
    ///
    /// # Errors
    /// Nobody is meant, or the process forbids it.
    pub async fn resume(
        &self,
        reference: &str,
        request: PauseRequest,
        expected: Option<Revision>,
    ) -> Result<PauseReply, ApiError> {
        let engine = &self.engine;
        self.pace(reference, request, Action::Resume, expected, |id| engine.resume_tree(id)).await
    }

    /// Sends a signal to a running process: once, whatever becomes of the answer.
    ///
    /// # Errors
    /// It is no signal that may be sent, nobody is meant, or the process forbids it.
    pub async fn signal(
        &self,
        reference: &str,
        request: SignalRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let signal = Signal::named(&request.signal)?;
        let target = if request.tree { SignalTarget::Tree } else { SignalTarget::Main };
        let id = self.engine.find(reference).await?;
        ask(&self.engine, id, Action::Signal { signal, target }, expected).await
    }

    /// Halts or goes on: a process by a command, and all below it unless it is meant alone. Where the process refuses, its
    /// descendants are left as they are.
    async fn pace<T>(
        &self,
        reference: &str,
        PauseRequest { no_descendants }: PauseRequest,
        command: Action,
        expected: Option<Revision>,
        tree: impl FnOnce(ProcessId) -> T,
    ) -> Result<PauseReply, ApiError>
    where
        T: Future<Output = Result<Vec<MemberOutcome>, EngineError>>,
    {
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        let ActionReply { process, changed, note } = ask(engine, id, command, expected).await?;
        let mut descendants = Vec::new();
        if !no_descendants {
            let below = tree(id).await?.into_iter().filter(|told| told.id != id).collect();
            descendants = all_heard(engine, below).await.outcomes;
        }
        Ok(PauseReply { process, changed, note, descendants })
    }

    /// Moves a process that waits.
    ///
    /// # Errors
    /// It says no place or two, nobody is meant, or the process does not wait.
    pub async fn prioritize(
        &self,
        reference: &str,
        request: PriorityRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let engine = &self.engine;
        let priority = match (request.priority, request.first) {
            (Some(priority), false) => Some(Priority::new(priority)?),
            (None, true) => None,
            (Some(_), true) | (None, false) => {
                return Err(ApiError::invalid("move", "exactly one of `priority` and `first` is required")
                    .help("give `priority`, or `first` to move the process before all others of its key"));
            }
        };
        let id = engine.find(reference).await?;
        if let Some(priority) = priority {
            return ask(engine, id, Action::Prioritize { priority }, expected).await;
        }
        check_unmoved(engine, id, expected).await?;
        Ok(outcome(engine, engine.move_first(id).await?).await)
    }

    /// Retries now, for a process that waits for its retry.
    ///
    /// # Errors
    /// Nobody is meant, or the process does not wait for a retry.
    pub async fn retry(&self, reference: &str, expected: Option<Revision>) -> Result<ActionReply, ApiError> {
        let id = self.engine.find(reference).await?;
        ask(&self.engine, id, Action::RetryNow, expected).await
    }
}

/// Gives a command to a process and says what came of it.
pub(super) async fn ask(
    engine: &Engine,
    id: ProcessId,
    command: Action,
    expected: Option<Revision>,
) -> Result<ActionReply, ApiError> {
    let answer = engine.command(id, command, expected).await?;
    Ok(heard(engine, answer).await)
}

/// What came of a command: as its node did it, if that is another one and does it within a moment.
async fn heard(engine: &Engine, answer: ActionOutcome) -> ActionReply {
    let (answer, is_open) = settled(engine, answer).await;
    let outcome = outcome(engine, answer).await;
    if is_open { ActionReply { note: Some(ASKED.to_owned()), ..outcome } } else { outcome }
}

/// The same of many.
async fn all_heard(engine: &Engine, told: Vec<MemberOutcome>) -> OutcomesReply {
    let each: Vec<_> = told
        .into_iter()
        .map(async |MemberOutcome { id, outcome }| match outcome {
            Ok(answer) => {
                let (answer, is_open) = settled(engine, answer).await;
                (MemberOutcome { id, outcome: Ok(answer) }, is_open)
            }
            Err(error) => (MemberOutcome { id, outcome: Err(error) }, false),
        })
        .collect();
    let settled: Vec<(MemberOutcome, bool)> = stream::iter(each).buffered(MAX_CONCURRENT).collect().await;
    let (told, open): (Vec<MemberOutcome>, Vec<bool>) = settled.into_iter().unzip();
    let mut reply = outcomes(engine, told).await;
    for (outcome, _) in reply.outcomes.iter_mut().zip(open).filter(|(_, is_open)| *is_open) {
        outcome.note = Some(ASKED.to_owned());
    }
    reply
}

/// The answer as its node carried it out, and whether that is still to come.
async fn settled(engine: &Engine, answer: ActionOutcome) -> (ActionOutcome, bool) {
    let Some(owner) = answer.stored.owner.as_ref() else { return (answer, false) };
    if !answer.changed || answer.note.is_some() || owner.node == *engine.node() {
        return (answer, false);
    }
    let (id, asked_at) = (answer.stored.process.id, answer.stored.revision);
    match engine.wait_for_revision(id, asked_at, ACTION_TIMEOUT).await {
        Ok(Some(stored)) => (ActionOutcome { stored, ..answer }, false),
        Ok(None) | Err(_) => (answer, true),
    }
}

/// Refuses what was decided on another revision, where what is asked is more than one write.
pub(super) async fn check_unmoved(
    engine: &Engine,
    id: ProcessId,
    expected: Option<Revision>,
) -> Result<(), ApiError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = engine.process(id).await?.revision;
    if found == expected {
        return Ok(());
    }
    Err(EngineError::RevisionMoved { id, found }.into())
}
