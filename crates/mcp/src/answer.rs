//! What the tools answer.

mod cut;
mod list;
mod output;
mod status;
mod wait;

pub(crate) use list::{ListAnswer, counts, items, list_schema};
pub(crate) use output::{Sent, read_schema, search_schema, sent_schema};
pub(crate) use status::{Around, Children, brief, brief_schema, least_schema, whole, whole_schema};
pub(crate) use wait::{Matched, Reason, WaitAnswer, Waited, suggested_wait, wait_schema, waiting};

use serde::Serialize;
use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// An answer as a JSON object.
pub(crate) fn object<T: Serialize>(answer: &T) -> Object {
    match serde_json::to_value(answer) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Object::new(),
    }
}
