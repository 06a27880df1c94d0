//! References to processes in tool arguments.

use crate::calls::ToolContext;
use crate::error::ToolError;
use longhaul_api::ApiError;
use longhaul_domain::SessionId;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use std::borrow::Cow;

/// Reference to a process as the caller wrote it: an id, a unique prefix of an id, or a name.
///
/// The text is private. The meaning of a name depends on the session of the caller, so only [`ToolContext::find`] may
/// read the text.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct ProcessReference(String);

impl JsonSchema for ProcessReference {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        String::inline_schema()
    }
}

impl From<&str> for ProcessReference {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl ToolContext<'_> {
    /// Resolves a reference. For a caller with a session, returns the id, because the meaning of a name depends on the
    /// session. For any other caller, returns the text unchanged.
    pub(crate) async fn find(self, ProcessReference(text): &ProcessReference) -> Result<String, ToolError> {
        let Some(session) = &self.caller.session else { return Ok(text.clone()) };
        let session: SessionId = session.parse().map_err(ApiError::from)?;
        let found = self.api.engine.find_for(text, Some(&session)).await;
        Ok(found.map_err(ApiError::from)?.to_string())
    }

    /// Resolves a reference to the process that an action is to change. Unlike [`find`](Self::find), this function
    /// reports an error if an agent has several live processes.
    pub(crate) async fn target(self, ProcessReference(text): &ProcessReference) -> Result<String, ToolError> {
        let session = self.caller.session.as_deref().map(str::parse::<SessionId>).transpose();
        let session = session.map_err(ApiError::from)?;
        let found = self.api.engine.find_target(text, session.as_ref()).await;
        Ok(found.map_err(ApiError::from)?.to_string())
    }

    /// Resolves several references; see [`find`](Self::find).
    pub(crate) async fn find_all(self, references: &[ProcessReference]) -> Result<Vec<String>, ToolError> {
        let mut ids = Vec::with_capacity(references.len());
        for reference in references {
            ids.push(self.find(reference).await?);
        }
        Ok(ids)
    }

    /// Returns the parent of a new process: the requested parent, or the process in which the caller runs.
    pub(super) async fn parent(self, asked: Option<&ProcessReference>) -> Result<Option<String>, ToolError> {
        match asked {
            Some(reference) => Ok(Some(self.find(reference).await?)),
            None => Ok(self.caller.parent.clone()),
        }
    }

    /// If a parent is requested, returns the process from whose command the new process is launched. Returns `None` if
    /// no parent is requested. Also returns `None` over HTTP, where the launching process is unknown.
    pub(super) fn launcher(self, asked: Option<&ProcessReference>) -> Option<String> {
        let _named = asked?;
        let is_known = self.caller.parent.is_some() || self.caller.environment.is_some();
        is_known.then(|| self.caller.parent.clone().unwrap_or_else(|| "outside".to_owned()))
    }
}
