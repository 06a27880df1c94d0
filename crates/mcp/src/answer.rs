//! Results of the tools.

mod artifacts;
mod cut;
mod list;
mod output;
mod status;
mod test_results;
mod wait;

pub(crate) use artifacts::{ArtifactFile, ArtifactsResult, SkippedFile, artifacts_schema};
pub(crate) use list::{ListResult, counts, items, list_schema};
pub(crate) use output::{SendAnswer, read_schema, search_schema, sent_schema};
pub(crate) use status::{
    Children, StatusContext, brief, brief_schema, is_terminal, minimal_schema, whole, whole_schema,
};
pub(crate) use test_results::{tests_schema, without_nulls};
pub(crate) use wait::{
    MatchedLine, WaitEndReason, WaitResult, WaitedProcess, suggested_wait, wait_schema, waiting,
};

use serde::Serialize;
use serde_json::{Map, Value};

/// JSON object of a tool result or a schema.
pub(crate) type JsonObject = Map<String, Value>;

/// Serializes a result to a JSON object. A result that is not an object becomes an empty object.
pub(crate) fn object<T: Serialize>(answer: &T) -> JsonObject {
    match serde_json::to_value(answer) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => JsonObject::new(),
    }
}
