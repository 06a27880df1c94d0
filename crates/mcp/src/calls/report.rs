//! The tools for reported work, which is work that agents do themselves.

use crate::answer::JsonObject;
use crate::calls::start::metadata;
use crate::calls::{ToolContext, millis, span};
use crate::error::ToolError;
use crate::tool::input::{CompleteInput, FailInput, RegisterInput, ReportInput};
use longhaul_wire::api::{CompleteRequest, FailRequest, LaunchRequest, ReportedRequest, UpdateRequest};

impl ToolContext<'_> {
    /// Registers reported work.
    pub(super) async fn register(self, asked: RegisterInput) -> Result<JsonObject, ToolError> {
        let heartbeat = asked.heartbeat_seconds.map(span);
        let request = LaunchRequest {
            reported: Some(ReportedRequest {
                node_id: asked.node_id,
                heartbeat_ms: heartbeat.map(millis).filter(|millis| *millis > 0),
                ..ReportedRequest::default()
            }),
            agent_id: asked.agent_id,
            agent_type: asked.agent_type,
            agent: asked.agent,
            model: asked.model,
            prompt: asked.prompt,
            kind: Some(asked.process_type),
            name: Some(asked.name),
            description: asked.description,
            metadata: metadata(asked.metadata),
            session_id: self.session(asked.session_id)?,
            launcher: self.launcher(asked.parent_id.as_ref()),
            parent_id: self.parent(asked.parent_id.as_ref()).await?,
            ..LaunchRequest::default()
        };
        let launched = self.api.launch(request).await?;
        let mut answer = self.brief(&launched.process).await;
        answer.insert("outcome".to_owned(), launched.outcome.into());
        Ok(answer)
    }

    /// Records the progress of a process, and the result or the error of a command that longhaul runs.
    pub(super) async fn report(self, asked: ReportInput) -> Result<JsonObject, ToolError> {
        let id = self.find(&asked.process_id).await?;
        let has_outcome = asked.result.is_some() || asked.error.is_some();
        let progress = UpdateRequest {
            progress: asked.progress,
            stage: asked.stage,
            eta_ms: asked.eta_seconds.map(span).map(millis),
            ..UpdateRequest::default()
        };
        if has_outcome {
            // The manager may refuse the outcome. Report the outcome first, so that a refused call changes nothing.
            let request =
                UpdateRequest { result: asked.result, error: asked.error, ..UpdateRequest::default() };
            let outcome = self.api.update(&id, request, None).await?;
            if progress == UpdateRequest::default() {
                return Ok(self.outcome(&outcome).await);
            }
        }
        let outcome = self.api.update(&id, progress, None).await?;
        Ok(self.outcome(&outcome).await)
    }

    /// Completes reported work.
    pub(super) async fn complete(self, asked: CompleteInput) -> Result<JsonObject, ToolError> {
        let request = CompleteRequest { result: asked.result };
        let outcome = self.api.complete(&self.find(&asked.process_id).await?, request, None).await?;
        Ok(self.outcome(&outcome).await)
    }

    /// Records the failure of reported work.
    pub(super) async fn fail(self, asked: FailInput) -> Result<JsonObject, ToolError> {
        let request = FailRequest { error: asked.error };
        let outcome = self.api.fail(&self.find(&asked.process_id).await?, request, None).await?;
        Ok(self.outcome(&outcome).await)
    }
}
