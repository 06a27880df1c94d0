//! Output as agents see it: as everybody does. Input, as far as it was taken.

use crate::answer::JsonObject;
use crate::schema;
use longhaul_wire::api::{OutputView, SearchView};
use schemars::JsonSchema;
use serde::Serialize;

/// The schema of the answer of `read_process_output`.
pub(crate) fn read_schema() -> JsonObject {
    required(schema::bare::<OutputView>(), &["text", "next_cursor", "eof"])
}

/// The schema of the answer of `search_process_output`.
pub(crate) fn search_schema() -> JsonObject {
    required(schema::bare::<SearchView>(), &["matches", "truncated", "next_cursor"])
}

/// The answer of `send_process_input`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SendAnswer {
    pub(crate) process_id: String,
    /// So many were taken, from the first on; the rest was not written.
    pub(crate) bytes: usize,
    /// Whether its input ends there.
    pub(crate) closed: bool,
}

/// The schema of the answer of `send_process_input`.
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
