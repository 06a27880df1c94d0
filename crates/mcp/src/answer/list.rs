//! Many processes as agents see them.

use crate::answer::Object;
use crate::answer::status::{Around, whole};
use crate::schema;
use longhaul_wire::api::ProcessView;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is told of each of many.
const FIELDS: &[&str] = &[
    "process_id",
    "name",
    "process_type",
    "status",
    "stage",
    "progress",
    "exit_code",
    "elapsed_s",
    "parent_id",
    "conditions",
];

/// The answer of `list_background_processes`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListAnswer {
    pub(crate) processes: Vec<Item>,
    /// Those that live by status, of the session if one was named.
    pub(crate) live: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// One of many.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Item(Object);

/// One of many, from its record.
pub(crate) fn item(view: &ProcessView) -> Item {
    let mut fields = whole(view, &Around::default());
    fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    Item(fields)
}

/// Counts without those that nothing has.
pub(crate) fn counts(all: impl IntoIterator<Item = (String, u64)>) -> BTreeMap<String, u64> {
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

impl JsonSchema for Item {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Item".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut whole = super::whole_schema();
        if let Some(serde_json::Value::Object(fields)) = whole.get_mut("properties") {
            fields.retain(|name, _| FIELDS.contains(&name.as_str()));
        }
        whole.insert("required".to_owned(), serde_json::json!(["process_id", "process_type", "status"]));
        whole.into()
    }
}

/// The schema of the answer.
pub(crate) fn list_schema() -> Object {
    schema::bare::<ListAnswer>()
}
