//! Schemas of output results, and the result of sending input. Output results have the same form as in the HTTP API.

use crate::answer::JsonObject;
use crate::schema;
use longhaul_wire::api::{OutputView, SearchView};
use schemars::JsonSchema;
use serde::Serialize;

/// Returns the schema of the result of `read_process_output`.
pub(crate) fn read_schema() -> JsonObject {
    required(schema::bare::<OutputView>(), &["text", "next_cursor", "eof"])
}

/// Returns the schema of the result of `search_process_output`.
pub(crate) fn search_schema() -> JsonObject {
    required(schema::bare::<SearchView>(), &["matches", "truncated", "next_cursor"])
}

/// Result of `send_process_input`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SendAnswer {
    pub(crate) process_id: String,
    /// Number of bytes that were written, counted from the first byte.
    pub(crate) bytes: usize,
    /// True if the standard input was closed.
    pub(crate) closed: bool,
}

/// Returns the schema of the result of `send_process_input`.
pub(crate) fn sent_schema() -> JsonObject {
    schema::bare::<SendAnswer>()
}

fn required(schema: JsonObject, fields: &[&str]) -> JsonObject {
    let mut whole = schema.into();
    schema::strip(&mut whole, "default");
    let mut schema = schema::object(whole);
    schema.insert("required".to_owned(), fields.into());
    schema
}
