//! Where clients look for an answer.

use crate::answer::Object;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::Value;

/// Where a client looks for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It knows structured content, and shows that to a model.
    Structured,
    /// It knows texts only.
    Text,
}

impl Form {
    /// The result of a tool whose answers have a budget: they are in it once. `gist` is their text where they are
    /// structured.
    pub(crate) fn result(self, answer: Object, gist: &str) -> CallToolResult {
        let answer = Value::Object(answer);
        match self {
            Self::Text => CallToolResult::success(vec![ContentBlock::text(answer.to_string())]),
            Self::Structured => {
                let gist = ContentBlock::text(format!("{gist}, in structuredContent"));
                let mut result = CallToolResult::success(vec![gist]);
                result.structured_content = Some(answer);
                result
            }
        }
    }
}
