//! Which process a caller means.

use crate::calls::ToolContext;
use crate::error::ToolError;
use longhaul_api::ApiError;
use longhaul_domain::SessionId;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use std::borrow::Cow;

/// An id, a unique prefix of one, or a name, as a caller wrote it.
///
/// Its text is private, because what a name means depends on the session of the caller: only [`ToolContext::find`] reads it.
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
    /// The process that is meant, in words that mean the same to everybody: its id where the caller is bound to a session.
    pub(crate) async fn find(self, ProcessReference(text): &ProcessReference) -> Result<String, ToolError> {
        let Some(session) = &self.caller.session else { return Ok(text.clone()) };
        let session: SessionId = session.parse().map_err(ApiError::from)?;
        let found = self.api.engine.find_for(text, Some(&session)).await;
        Ok(found.map_err(ApiError::from)?.to_string())
    }

    /// The same of several.
    pub(crate) async fn find_all(self, references: &[ProcessReference]) -> Result<Vec<String>, ToolError> {
        let mut ids = Vec::with_capacity(references.len());
        for reference in references {
            ids.push(self.find(reference).await?);
        }
        Ok(ids)
    }

    /// The parent of what is launched or registered: the one that is named, or the process that the caller runs in.
    pub(super) async fn parent(self, asked: Option<&ProcessReference>) -> Result<Option<String>, ToolError> {
        match asked {
            Some(reference) => Ok(Some(self.find(reference).await?)),
            None => Ok(self.caller.parent.clone()),
        }
    }

    /// From inside of which process it is launched, if another parent is named. Over HTTP that is not known.
    pub(super) fn launcher(self, asked: Option<&ProcessReference>) -> Option<String> {
        let _named = asked?;
        let is_known = self.caller.parent.is_some() || self.caller.environment.is_some();
        is_known.then(|| self.caller.parent.clone().unwrap_or_else(|| "outside".to_owned()))
    }
}
