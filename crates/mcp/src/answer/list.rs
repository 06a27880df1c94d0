//! Lists of processes in tool results.

use crate::answer::JsonObject;
use crate::answer::cut::begin;
use crate::answer::status::{StatusContext, whole};
use crate::schema;
use longhaul_api::command_line;
use longhaul_wire::api::ProcessView;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields of each process in a list of normal length.
const FIELDS: &[&str] = &[
    "process_id",
    "name",
    "process_type",
    "status",
    "stage",
    "progress",
    "exit_code",
    "tokens",
    "elapsed_s",
    "parent_id",
    "level",
    "agent_id",
    "conditions",
    "session_id",
    "updated_at",
    "started_at",
    "directory",
    "command",
];

/// Fields of each process in a list that would be too long with all fields.
const REDUCED_FIELDS: &[&str] = &["process_id", "name", "process_type", "status", "progress", "exit_code"];
/// Maximum length of a text field in a list, in bytes of JSON.
const MAX_FIELD_LEN: usize = 80;
/// Maximum length of a command line in a list, in bytes of JSON.
const COMMAND: usize = 60;
/// Maximum length of a list with all fields, in bytes of JSON.
const MAX_LIST_LEN: usize = 24_000;

/// Result of `list_background_processes`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListResult {
    pub(crate) processes: Vec<ListedProcess>,
    /// Number of live processes by status; if a session was requested, only of that session.
    pub(crate) live: BTreeMap<String, u64>,
    /// Number of live processes by level. If the request names a tree, only processes of this tree count.
    pub(crate) live_by_level: BTreeMap<String, u64>,
    /// Statistics of the requested tree, ended processes included: endings, run times and resource usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tree_stats: Option<JsonObject>,
    /// Time of the latest change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_changed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
    /// Time since which the store does not respond; the list then contains only processes of this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stale_since: Option<String>,
    /// Ids of damaged records that may belong to the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) damaged: Option<Vec<String>>,
}

/// Process in a list.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ListedProcess(JsonObject);

/// Converts a process to its form in a list.
pub(crate) fn item(view: &ProcessView) -> ListedProcess {
    let mut fields = whole(view, &StatusContext::default());
    fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    if let Some(command) = fields.get_mut("command") {
        *command = command_line(&view.command).into();
    }
    for (name, value) in &mut fields {
        if let Value::String(text) = value {
            let begin = begin(text, if name == "command" { COMMAND } else { MAX_FIELD_LEN });
            if begin.len() < text.len() {
                *value = Value::String(format!("{begin}…"));
            }
        }
    }
    ListedProcess(fields)
}

/// Converts processes to a list. Removes fields if the list would be too long.
pub(crate) fn items(views: &[ProcessView]) -> Vec<ListedProcess> {
    let mut items: Vec<ListedProcess> = views.iter().map(item).collect();
    let length: usize =
        items.iter().map(|ListedProcess(fields)| Value::Object(fields.clone()).to_string().len()).sum();
    if length > MAX_LIST_LEN {
        for ListedProcess(fields) in &mut items {
            fields.retain(|name, _| REDUCED_FIELDS.contains(&name.as_str()));
        }
    }
    items
}

/// Collects the counts that are not zero.
pub(crate) fn counts(all: impl IntoIterator<Item = (String, u64)>) -> BTreeMap<String, u64> {
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

impl JsonSchema for ListedProcess {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Item".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut whole = super::whole_schema();
        if let Some(Value::Object(fields)) = whole.get_mut("properties") {
            fields.retain(|name, _| FIELDS.contains(&name.as_str()));
            // A list contains only the start of the command line.
            fields.insert("command".to_owned(), serde_json::json!({ "type": "string" }));
        }
        whole.insert("required".to_owned(), serde_json::json!(["process_id", "process_type", "status"]));
        whole.into()
    }
}

/// Returns the schema of [`ListResult`].
pub(crate) fn list_schema() -> JsonObject {
    schema::bare::<ListResult>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::api::TokensView;

    #[test]
    fn list_shows_the_tokens_of_an_agent() {
        let tokens = TokensView { input: 7, output: 8, cached: 9 };
        let ListedProcess(fields) = item(&ProcessView { tokens: Some(tokens), ..ProcessView::default() });
        assert_eq!(fields["tokens"], serde_json::json!({ "input": 7, "output": 8, "cached": 9 }));
    }

    #[test]
    fn no_list_is_longer_than_an_answer_may_be() {
        let view = ProcessView {
            id: "0199d3f0-6c1e-7b52-9f53-0d9a3c6f4e11".to_owned(),
            kind: format!("custom:{}", "k".repeat(121)),
            name: Some("\"".repeat(128)),
            status: "interrupted".to_owned(),
            stage: Some("s".repeat(4_000)),
            parent_id: Some("0199d3f0-6c1e-7b52-9f53-0d9a3c6f4e11".to_owned()),
            progress: Some(33.333),
            exit_code: Some(i32::MIN),
            duration_ms: Some(123_456_789),
            conditions: vec!["waits_for_children".to_owned(); 3],
            ..ProcessView::default()
        };
        let listed = serde_json::to_string(&items(&vec![view.clone(); 100])).unwrap();
        assert!(listed.len() <= 32_000, "{}", listed.len());
        let few = serde_json::to_string(&items(&[view])).unwrap();
        assert!(few.contains("parent_id"));
    }
}
