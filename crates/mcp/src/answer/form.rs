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
    /// structured. Where they are not, the fields of these names are texts of their own behind the rest of the answer:
    /// a text inside of JSON inside of a text takes more room than there is.
    pub(crate) fn result(self, mut answer: Object, texts: &[&str], gist: &str) -> CallToolResult {
        match self {
            Self::Text => {
                let texts: Vec<Value> = texts.iter().filter_map(|name| answer.remove(*name)).collect();
                let rest = std::iter::once(Value::Object(answer).to_string());
                let texts = texts.iter().filter_map(Value::as_str).map(str::to_owned);
                CallToolResult::success(rest.chain(texts).map(ContentBlock::text).collect())
            }
            Self::Structured => {
                let answer = Value::Object(answer);
                let gist = ContentBlock::text(format!("{gist}, in structuredContent"));
                let mut result = CallToolResult::success(vec![gist]);
                result.structured_content = Some(answer);
                result
            }
        }
    }
}
