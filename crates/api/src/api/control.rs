//! Use cases that change a process: cancel, pause, resume, signal, change the priority, and retry.

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

/// Maximum time to wait until another node has executed an action.
const ACTION_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of processes whose results are awaited in parallel.
const MAX_CONCURRENT: usize = 32;
/// Note in a reply. It means that another node has received the action but has not executed it yet.
const ASKED: &str = "asked";

impl Api {
    /// Cancels a process and all its descendants. With `no_descendants`, only the process is cancelled.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the process refuses the action.
    pub async fn cancel(
        &self,
        reference: &str,
        CancelRequest { force, no_descendants }: CancelRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let engine = &self.engine;
        let id = engine.find_target(reference, None).await?;
        let cause = StopCause::User;
        let answer = match (no_descendants, force) {
            (false, force) => engine.terminate(id, force, expected).await?,
            (true, true) => engine.command(id, Action::Force { cause }, expected).await?,
            (true, false) => engine.command(id, Action::Cancel { cause }, expected).await?,
        };
        Ok(reply_of(engine, answer).await)
    }

    /// Cancels all processes at one level of the process trees, with their descendants. The request limits this to one
    /// tree or includes all trees.
    ///
    /// # Errors
    /// Returns an error if the request names no level, or if its tree reference does not match exactly one process.
    pub async fn cancel_level(&self, request: CancelLevelRequest) -> Result<OutcomesReply, ApiError> {
        let engine = &self.engine;
        let Some(level) = request.level.map(Level) else {
            return Err(ApiError::invalid("cancel", "`level` is missing")
                .help("give `level`: 0 for roots, 1 for their children, and so on"));
        };
        let tree = match request.tree.as_deref() {
            Some(reference) => Some(engine.find_target(reference, None).await?),
            None => None,
        };
        let told = engine.terminate_level(level, tree, request.force).await?;
        Ok(outcomes(engine, told).await)
    }

    /// Pauses a process and all its descendants. With `no_descendants`, only the process is paused. If the process is
    /// on another node and is not paused within one second, the reply has the note `asked`.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the process refuses the action.
    pub async fn pause(
        &self,
        reference: &str,
        request: PauseRequest,
        expected: Option<Revision>,
    ) -> Result<PauseReply, ApiError> {
        let engine = &self.engine;
        self.pace(reference, request, Action::Pause, expected, |id| engine.pause_tree(id)).await
    }

    /// Resumes a process and all its descendants. With `no_descendants`, only the process is resumed. If the process is
    /// on another node and is not resumed within one second, the reply has the note `asked`.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the process refuses the action.
    pub async fn resume(
        &self,
        reference: &str,
        request: PauseRequest,
        expected: Option<Revision>,
    ) -> Result<PauseReply, ApiError> {
        let engine = &self.engine;
        self.pace(reference, request, Action::Resume, expected, |id| engine.resume_tree(id)).await
    }

    /// Sends a signal to a running process. The signal is sent only once, even if the reply is lost.
    ///
    /// # Errors
    /// Returns an error if the signal is not allowed, the reference does not match exactly one process, or the process
    /// refuses the action.
    pub async fn signal(
        &self,
        reference: &str,
        request: SignalRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let signal = Signal::named(&request.signal)?;
        let target = if request.tree { SignalTarget::Tree } else { SignalTarget::Main };
        let id = self.engine.find_target(reference, None).await?;
        ask(&self.engine, id, Action::Signal { signal, target }, expected).await
    }

    /// Pauses or resumes a process, and then its descendants by calling `tree`. With `no_descendants`, `tree` is not
    /// called. If the process refuses the action, its descendants are not changed.
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
        let id = engine.find_target(reference, None).await?;
        let ActionReply { process, changed, note } = ask(engine, id, command, expected).await?;
        let mut descendants = Vec::new();
        if !no_descendants {
            let below = tree(id).await?.into_iter().filter(|told| told.id != id).collect();
            descendants = all_heard(engine, below).await.outcomes;
        }
        Ok(PauseReply { process, changed, note, descendants })
    }

    /// Changes the priority of a pending process, or moves the process to the front of its queue.
    ///
    /// # Errors
    /// Returns an error if the request does not name exactly one position, the reference does not match exactly one
    /// process, or the process is not pending.
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
        let id = engine.find_target(reference, None).await?;
        if let Some(priority) = priority {
            return ask(engine, id, Action::Prioritize { priority }, expected).await;
        }
        check_unmoved(engine, id, expected).await?;
        Ok(outcome(engine, engine.move_first(id).await?).await)
    }

    /// Immediately starts the next attempt of a process that is waiting for a retry.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the process is not waiting for a
    /// retry.
    pub async fn retry(&self, reference: &str, expected: Option<Revision>) -> Result<ActionReply, ApiError> {
        let id = self.engine.find_target(reference, None).await?;
        ask(&self.engine, id, Action::RetryNow, expected).await
    }
}

/// Executes an action on a process and returns the result as the reply for a client.
pub(super) async fn ask(
    engine: &Engine,
    id: ProcessId,
    command: Action,
    expected: Option<Revision>,
) -> Result<ActionReply, ApiError> {
    let answer = engine.command(id, command, expected).await?;
    Ok(reply_of(engine, answer).await)
}

/// Converts the result of an action to a reply. If another node owns the process, first waits a short time until that
/// node has executed the action.
async fn reply_of(engine: &Engine, answer: ActionOutcome) -> ActionReply {
    let (answer, is_open) = settled(engine, answer).await;
    let outcome = outcome(engine, answer).await;
    if is_open { ActionReply { note: Some(ASKED.to_owned()), ..outcome } } else { outcome }
}

/// Converts the results of an action on many processes to replies, as [`reply_of`] does for one process.
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

/// Waits up to [`ACTION_TIMEOUT`] until another node has executed an action. The flag in the result is true if the
/// action is still pending.
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

/// Returns an error if the process is no longer at revision `expected`. Requests that need more than one write use this
/// check.
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
