//! Stopping, halting, and running again.

use crate::answer::Object;
use crate::refusal::Refusal;
use crate::tool::input::{Restart, Stop, Which};
use crate::work::Desk;
use longhaul_wire::api::{CancelRequest, Outcome, PauseReply, PauseRequest, ProcessView, WaitRequest};
use std::time::Duration;

/// What was told to stop is waited for so long: longer than it has to obey.
const PATIENCE: Duration = Duration::from_secs(15);

impl Desk<'_> {
    /// Stops a process with all its descendants, and waits until the last of them has ended.
    pub(super) async fn stop(self, asked: Stop) -> Result<Object, Refusal> {
        let request = CancelRequest { force: asked.force, alone: false };
        let id = self.find(&asked.process_id).await?;
        Ok(self.came_of(&self.stopped(&id, request).await?).await)
    }

    async fn stopped(self, id: &str, request: CancelRequest) -> Result<Outcome, Refusal> {
        let mut outcome = self.api.cancel(id, request, None).await?;
        if let Some(seen) = self.waited(&outcome.process.id, Some("tree_ended"), PATIENCE).await? {
            outcome.process = seen;
        }
        Ok(outcome)
    }

    /// Halts a process with all its descendants.
    pub(super) async fn pause(self, asked: Which) -> Result<Object, Refusal> {
        let reply =
            self.api.pause(&self.find(&asked.process_id).await?, PauseRequest::default(), None).await?;
        Ok(self.paced(reply).await)
    }

    /// Lets a process go on with all its descendants.
    pub(super) async fn resume(self, asked: Which) -> Result<Object, Refusal> {
        let reply =
            self.api.resume(&self.find(&asked.process_id).await?, PauseRequest::default(), None).await?;
        Ok(self.paced(reply).await)
    }

    /// Runs a process again, as a new one; if it is live and that is asked for, it is stopped first.
    pub(super) async fn restart(self, asked: Restart) -> Result<Object, Refusal> {
        let id = self.find(&asked.process_id).await?;
        if asked.stop {
            let stopped = self.stopped(&id, CancelRequest::default()).await?;
            if stopped.process.ending_descendants || stopped.process.completed_at.is_none() {
                return Err(Refusal::still_ending(&stopped.process.id));
            }
        }
        let launched = self.api.restart(&id, None).await?;
        let mut answer = self.brief(&launched.process).await;
        answer.insert("outcome".to_owned(), launched.outcome.into());
        Ok(answer)
    }

    /// What came of a command to one process.
    pub(super) async fn came_of(self, outcome: &Outcome) -> Object {
        let mut answer = self.brief(&outcome.process).await;
        answer.insert("changed".to_owned(), outcome.changed.into());
        if let Some(note) = &outcome.note {
            answer.insert("outcome".to_owned(), note.as_str().into());
        }
        answer
    }

    /// The process as it is when it has got so far (by default: has ended), or when the time is over.
    pub(super) async fn waited(
        self,
        id: &str,
        goal: Option<&str>,
        patience: Duration,
    ) -> Result<Option<ProcessView>, Refusal> {
        let request = WaitRequest {
            ids: vec![id.to_owned()],
            goal: goal.map(str::to_owned),
            timeout_ms: Some(super::millis(patience)),
            ..WaitRequest::default()
        };
        let reply = self.api.wait(&request).await?;
        Ok(reply.processes.into_iter().next())
    }

    async fn paced(self, PauseReply { process, changed, note, .. }: PauseReply) -> Object {
        self.came_of(&Outcome { process, changed, note }).await
    }
}
