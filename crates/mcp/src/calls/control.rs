//! The tools that stop, pause, resume and restart a process.

use crate::answer::JsonObject;
use crate::calls::ToolContext;
use crate::error::ToolError;
use crate::tool::input::{ProcessInput, RestartInput, StopInput};
use longhaul_api::DetailLevel;
use longhaul_wire::api::{
    ActionReply, CancelLevelRequest, CancelRequest, OutcomesReply, PauseReply, PauseRequest, ProcessView,
    RerunFailedRequest, WaitRequest,
};
use serde_json::json;
use std::time::Duration;

/// Maximum time to wait until a stopped process has ended. It is longer than the grace period before SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

impl ToolContext<'_> {
    /// Stops a process with all its descendants, and waits until all of them have ended.
    pub(super) async fn stop(self, asked: StopInput) -> Result<JsonObject, ToolError> {
        if let Some(level) = asked.level {
            return self.stop_level(&asked, level).await;
        }
        let request = CancelRequest { force: asked.force, no_descendants: false };
        let id = self.target(&asked.process_id).await?;
        Ok(self.outcome(&self.stopped(&id, request).await?).await)
    }

    /// Stops all processes on one level of a tree and their descendants, and waits until all of them have ended.
    async fn stop_level(self, asked: &StopInput, level: u8) -> Result<JsonObject, ToolError> {
        let tree = self.find(&asked.process_id).await?;
        let request = CancelLevelRequest { level: Some(level), tree: Some(tree.clone()), force: asked.force };
        let OutcomesReply { outcomes } = self.api.cancel_level(request).await?;
        let ids: Vec<String> = outcomes.iter().map(|outcome| outcome.id.clone()).collect();
        for id in &ids {
            // The processes stop in parallel, so waiting for one process after the other takes no longer than waiting
            // for the slowest process.
            self.waited(id, Some("tree_ended"), STOP_TIMEOUT).await?;
        }
        let mut answer = self.brief(&self.api.show(&tree, DetailLevel::Records).await?).await;
        answer.insert("changed".to_owned(), outcomes.iter().any(|outcome| outcome.changed).into());
        answer.insert("stopped".to_owned(), ids.into());
        let errors: Vec<&str> =
            outcomes.iter().filter_map(|outcome| Some(outcome.problem.as_ref()?.title.as_str())).collect();
        if !errors.is_empty() {
            answer.insert("errors".to_owned(), json!(errors));
        }
        Ok(answer)
    }

    async fn stopped(self, id: &str, request: CancelRequest) -> Result<ActionReply, ToolError> {
        let mut outcome = self.api.cancel(id, request, None).await?;
        if let Some(seen) = self.waited(&outcome.process.id, Some("tree_ended"), STOP_TIMEOUT).await? {
            outcome.process = seen;
        }
        Ok(outcome)
    }

    /// Pauses a process with all its descendants.
    pub(super) async fn pause(self, asked: ProcessInput) -> Result<JsonObject, ToolError> {
        let reply =
            self.api.pause(&self.target(&asked.process_id).await?, PauseRequest::default(), None).await?;
        Ok(self.paced(reply).await)
    }

    /// Resumes a process with all its descendants.
    pub(super) async fn resume(self, asked: ProcessInput) -> Result<JsonObject, ToolError> {
        let reply =
            self.api.resume(&self.target(&asked.process_id).await?, PauseRequest::default(), None).await?;
        Ok(self.paced(reply).await)
    }

    /// Restarts a process as a new process. If `stop` is set and the process is still live, stops it first.
    pub(super) async fn restart(self, asked: RestartInput) -> Result<JsonObject, ToolError> {
        let id = self.target(&asked.process_id).await?;
        if asked.stop {
            let stopped = self.stopped(&id, CancelRequest::default()).await?;
            if stopped.process.cancelling_descendants || stopped.process.completed_at.is_none() {
                return Err(ToolError::still_ending(&stopped.process.id));
            }
        }
        if asked.failed_tests {
            let reply = self.api.rerun_failed(&id, &RerunFailedRequest::default(), None).await?;
            let Some(process) = reply.process else { return Ok(JsonObject::new()) };
            let mut answer = self.brief(&process).await;
            answer.insert("outcome".to_owned(), "created".into());
            return Ok(answer);
        }
        let launched = self.api.restart(&id, None).await?;
        let mut answer = self.brief(&launched.process).await;
        answer.insert("outcome".to_owned(), launched.outcome.into());
        Ok(answer)
    }

    /// Converts the outcome of an action on one process to a tool result.
    pub(super) async fn outcome(self, outcome: &ActionReply) -> JsonObject {
        let mut answer = self.brief(&outcome.process).await;
        answer.insert("changed".to_owned(), outcome.changed.into());
        if let Some(note) = &outcome.note {
            answer.insert("outcome".to_owned(), note.as_str().into());
        }
        answer
    }

    /// Waits until a process has reached `goal` or until `time_limit` is over, and returns the process. If `goal` is
    /// `None`, waits until the process has ended.
    pub(super) async fn waited(
        self,
        id: &str,
        goal: Option<&str>,
        time_limit: Duration,
    ) -> Result<Option<ProcessView>, ToolError> {
        let request = WaitRequest {
            ids: vec![id.to_owned()],
            goal: goal.map(str::to_owned),
            timeout_ms: Some(super::millis(time_limit)),
            ..WaitRequest::default()
        };
        let reply = self.api.wait(&request).await?;
        Ok(reply.processes.into_iter().next())
    }

    async fn paced(self, PauseReply { process, changed, note, .. }: PauseReply) -> JsonObject {
        self.outcome(&ActionReply { process, changed, note }).await
    }
}
