//! Output as agents see it: as everybody does.

use crate::answer::Object;
use crate::schema;
use longhaul_wire::api::{OutputView, SearchView};

/// The schema of the answer of `read_process_output`.
pub(crate) fn read_schema() -> Object {
    required(schema::bare::<OutputView>(), &["text", "next_cursor", "eof"])
}

/// The schema of the answer of `search_process_output`.
pub(crate) fn search_schema() -> Object {
    required(schema::bare::<SearchView>(), &["matches", "truncated", "next_cursor"])
}

fn required(schema: Object, fields: &[&str]) -> Object {
    let mut whole = schema.into();
    schema::strip(&mut whole, "default");
    let mut schema = schema::object(whole);
    schema.insert("required".to_owned(), fields.into());
    schema
}
