//! Processes in tool results.
//!
//! The result is converted field by field from the record of the HTTP API, so that new fields of the record also appear
//! in the result. `id` and `type` get the prefix `process_`, milliseconds become seconds, and null and empty fields are
//! left out.

use crate::answer::JsonObject;
use crate::answer::cut::cut;
use longhaul_wire::api::{ProcessView, WhyView};
use serde_json::{Value, json};

/// Fields of the short form. They are sufficient for an agent to continue.
const BRIEF: &[&str] = &[
    "process_id",
    "name",
    "process_type",
    "status",
    "terminal",
    "reason",
    "stage",
    "progress",
    "eta_s",
    "eta_source",
    "pid",
    "cancelling_descendants",
    "exit_code",
    "error",
    "tokens",
    "started_at",
    "completed_at",
    "completed_at_precision",
    "elapsed_s",
    "parent_id",
    "session_id",
    "restarted_from",
    "conditions",
    "ready",
    "listening_ports",
    "idle_for_s",
    "queue_position",
    "output",
    "tail",
    "next",
];
/// Required fields of every result about one process.
const REQUIRED: &[&str] = &["process_id", "process_type", "status", "terminal"];
/// Fields of the short form that its schema describes, with their types.
const DESCRIBED: &[(&str, &str)] = &[
    ("process_id", "string"),
    ("name", "string"),
    ("process_type", "string"),
    ("status", "string"),
    ("terminal", "boolean"),
    ("exit_code", "integer"),
    ("error", "string"),
    ("progress", "number"),
    ("output", "object"),
    ("tail", "string"),
    ("next", "string"),
];
/// Fields that the schema of the whole record names without a type.
const NAMED: &[&str] = &[
    "command",
    "completed_at",
    "conditions",
    "directory",
    "elapsed_s",
    "first_error",
    "queued_at",
    "reason",
    "restarted_from",
    "result",
    "stage",
    "started_at",
    "tests",
    "tokens",
    "usage",
];
/// Maximum length of a field in the whole record, in bytes of JSON.
const MAX_FULL_FIELD_LEN: usize = 2 * 1024;
/// Maximum length of a field in the short form, in bytes of JSON. One result contains up to sixteen processes.
const MAX_SHORT_FIELD_LEN: usize = 400;
/// Fields that contain JSON from the caller. They are returned unchanged.
const CALLER_FIELDS: &[&str] = &["metadata", "result"];
/// Fields that are shown even if they are false, because the value false is informative for them.
const SHOWN_WHEN_FALSE: &[&str] = &["ready"];

/// Facts about a process that are not part of its record.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusContext {
    /// Explanation of why the process is waiting.
    pub(crate) why: Option<WhyView>,
    /// Cursor from which the output can be read.
    pub(crate) next_cursor: Option<String>,
    /// Output tail, if the process did not complete successfully or is waiting for input.
    pub(crate) tail: Option<String>,
    /// Number of children; `None` if there are no children.
    pub(crate) children: Option<Children>,
}

/// Number of children of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Children {
    pub(crate) total: usize,
    pub(crate) live: usize,
    /// True if there are more children than were counted.
    pub(crate) more: bool,
}

/// Returns the whole record of a process with its context.
pub(crate) fn whole(view: &ProcessView, around: &StatusContext) -> JsonObject {
    let mut fields = object(view);
    cut(&mut fields, MAX_FULL_FIELD_LEN, &crate::resource::uri(&view.id));
    add(&mut fields, view, around);
    fields
}

/// Returns the short form of a process. It is sufficient for an agent to continue.
pub(crate) fn brief(view: &ProcessView, around: &StatusContext) -> JsonObject {
    let mut fields = object(view);
    fields.retain(|name, _| BRIEF.contains(&name.as_str()) || name == "output_bytes");
    if fields.get("reason") == fields.get("error") {
        fields.remove("reason");
    }
    cut(&mut fields, MAX_SHORT_FIELD_LEN, &crate::resource::uri(&view.id));
    add(&mut fields, view, around);
    fields.remove("child_counts");
    fields
}

/// Returns true for a status that is final.
pub(crate) fn is_terminal(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "timeout" | "cancelled" | "interrupted")
}

fn object(view: &ProcessView) -> JsonObject {
    let Ok(Value::Object(record)) = serde_json::to_value(view) else { return JsonObject::new() };
    let mut fields = JsonObject::new();
    for (name, value) in record {
        let value = if CALLER_FIELDS.contains(&name.as_str()) { Some(value) } else { field_of(&name, value) };
        if let Some(value) = value.filter(|value| !value.is_null()) {
            fields.insert(renamed(&name), value);
        }
    }
    fields
}

/// Converts a value. Durations become seconds; null and empty values become `None`.
fn field_of(name: &str, value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(false) if !SHOWN_WHEN_FALSE.contains(&name) => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(inner) => {
            let inner: JsonObject = inner
                .into_iter()
                .filter_map(|(name, value)| Some((renamed(&name), field_of(&name, value)?)))
                .collect();
            (!inner.is_empty()).then_some(Value::Object(inner))
        }
        Value::Number(number) if name.ends_with("_ms") => {
            // A float represents every number of milliseconds within ten thousand years exactly.
            number.as_f64().map(|millis| json!(millis / 1_000.0))
        }
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Some(other),
    }
}

fn renamed(name: &str) -> String {
    match name {
        "id" => "process_id".to_owned(),
        "type" => "process_type".to_owned(),
        "duration_ms" => "elapsed_s".to_owned(),
        "idle_ms" => "idle_for_s".to_owned(),
        name => match name.strip_suffix("_ms") {
            Some(span) => format!("{span}_s"),
            None => name.to_owned(),
        },
    }
}

fn add(fields: &mut JsonObject, view: &ProcessView, around: &StatusContext) {
    let terminal = is_terminal(&view.status) && !view.cancelling_descendants;
    fields.insert("terminal".to_owned(), terminal.into());
    let mut output = JsonObject::new();
    if let Some(bytes) = fields.remove("output_bytes") {
        output.insert("bytes".to_owned(), bytes);
    }
    if let Some(cursor) = &around.next_cursor {
        output.insert("next_cursor".to_owned(), cursor.as_str().into());
    }
    if !output.is_empty() {
        fields.insert("output".to_owned(), output.into());
    }
    if let Some(position) = around.why.as_ref().and_then(|why| why.position) {
        fields.insert("queue_position".to_owned(), position.into());
    }
    if let Some(tail) = &around.tail {
        fields.insert("tail".to_owned(), tail.as_str().into());
    }
    if let Some(Children { total, live, more }) = around.children {
        let mut children = json!({ "total": total, "live": live });
        if more && let Some(children) = children.as_object_mut() {
            children.insert("more".to_owned(), true.into());
        }
        fields.insert("child_counts".to_owned(), children);
    }
    if let Some(next) = next(view) {
        fields.insert("next".to_owned(), next.into());
    }
}

/// Returns a hint for the agent's next step. Returns `None` if the next step is obvious.
fn next(view: &ProcessView) -> Option<&'static str> {
    let is_command = view.work == "command";
    if view.conditions.iter().any(|condition| condition == "waiting_for_input") {
        return Some(match view.stdin.as_deref() {
            Some("pipe") => "the process waits for input: send it with send_process_input",
            _ => {
                "the process waits for input, but its stdin is not open: call stop_background_process, then start \
                 it again with stdin: pipe"
            }
        });
    }
    if view.cancelling_descendants && is_terminal(&view.status) {
        return Some(
            "descendants of the process are still being stopped: stop_background_process waits for them, with force \
             it kills them",
        );
    }
    if view.start_failure.is_some() && is_terminal(&view.status) {
        return Some(
            "the process could not be started, see error: correct command or cwd, then start it again",
        );
    }
    let has_failed_tests = view.tests.as_ref().is_some_and(|tests| tests.failed > 0 || tests.errors > 0);
    match view.status.as_str() {
        "failed" | "timeout" | "interrupted" if has_failed_tests => Some(
            "call get_test_results to see which tests failed and why; call restart_process to run them again",
        ),
        "paused" => Some("call resume_process to continue the process"),
        "failed" | "timeout" | "interrupted" if is_command => Some(
            "call read_process_output or search_process_output to find the cause; call restart_process to run \
                  it again",
        ),
        "completed" if is_command => Some("call read_process_output to read its output"),
        "pending" | "starting" | "running" | "stopping" if is_command => Some(
            "call wait_for_process; for more than a minute run `longhaul wait ID` in your own background shell",
        ),
        "running" => Some("call report_progress while the work runs, then complete_process or fail_process"),
        _ => None,
    }
}

/// Returns the schema of the whole record. To keep the list of tools short, the schema contains only the most used
/// fields. The others are described in docs/reference/http.md.
pub(crate) fn whole_schema() -> JsonObject {
    let mut fields = described();
    fields.extend(NAMED.iter().map(|name| ((*name).to_owned(), json!({}))));
    let output =
        fields_of(&[("bytes", "integer"), ("next_cursor", "string"), ("text", "string"), ("eof", "boolean")]);
    fields.insert("output".to_owned(), json!({ "type": "object", "properties": output }));
    of_fields(fields)
}

/// Returns the schema for the fields that every result about one process contains.
pub(crate) fn minimal_schema() -> JsonObject {
    let mut fields = described();
    fields.retain(|name, _| REQUIRED.contains(&name.as_str()));
    of_fields(fields)
}

/// Returns the schema of the short form. Nine tools include this schema, so it describes only the most used fields.
pub(crate) fn brief_schema() -> JsonObject {
    let mut fields = described();
    // Only the tools that start, restart or stop a process return these fields.
    fields.extend(fields_of(&[("outcome", "string"), ("changed", "boolean")]));
    of_fields(fields)
}

fn described() -> JsonObject {
    fields_of(DESCRIBED)
}

/// Returns the schemas of fields with these names and types.
fn fields_of(fields: &[(&str, &str)]) -> JsonObject {
    fields.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind }))).collect()
}

fn of_fields(fields: JsonObject) -> JsonObject {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), fields.into());
    schema.insert("required".to_owned(), json!(REQUIRED));
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use longhaul_wire::api::{ExitView, TestsView, TokensView, UsageView};

    fn view() -> ProcessView {
        ProcessView {
            id: "0197".to_owned(),
            work: "command".to_owned(),
            kind: "build".to_owned(),
            status: "failed".to_owned(),
            command: vec!["make".to_owned()],
            duration_ms: Some(1_500),
            timeout_ms: Some(60_000),
            output_bytes: Some(7),
            exit: Some(ExitView {
                code: Some(2),
                usage: UsageView { user_ms: 20, ..UsageView::default() },
                ..ExitView::default()
            }),
            metadata: Some(json!({ "kept": null, "wait_ms": 5 })),
            ..ProcessView::default()
        }
    }

    #[test]
    fn durations_are_seconds_and_empty_fields_are_omitted() {
        let fields = whole(&view(), &StatusContext::default());
        assert_eq!(fields["process_id"], "0197");
        assert_eq!(fields["process_type"], "build");
        assert_eq!(fields["elapsed_s"], 1.5);
        assert_eq!(fields["timeout_s"], 60.0);
        assert_eq!(fields["exit"]["usage"]["user_s"], 0.02);
        assert_eq!(fields["terminal"], true);
        assert_eq!(fields["output"], json!({ "bytes": 7 }));
        for absent in ["name", "conditions", "cancelling_descendants", "output_bytes", "id", "pid"] {
            assert!(!fields.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn data_of_the_caller_is_returned_unchanged() {
        assert_eq!(
            whole(&view(), &StatusContext::default())["metadata"],
            json!({ "kept": null, "wait_ms": 5 })
        );
    }

    #[test]
    fn long_metadata_is_cut_and_names_the_way_to_the_rest() {
        let long = ProcessView { metadata: Some(json!({ "a": "x".repeat(3_000) })), ..view() };
        let fields = whole(&long, &StatusContext::default());
        assert_eq!(fields["metadata"]["truncated"], true);
        assert_eq!(fields["metadata"]["rest"], "longhaul://process/0197");
    }

    #[test]
    fn no_record_is_longer_than_an_answer_may_be() {
        let long = || "\u{1}".repeat(70_000);
        let view = ProcessView {
            description: Some(long()),
            prompt: Some(long()),
            reason: Some(long() + "x"),
            error: Some(long()),
            command: vec![long(); 10],
            capabilities: vec!["\"".repeat(128); 100],
            metadata: Some(json!({ "a": long() })),
            result: Some(json!([long()])),
            directory: Some(long()),
            log_path: Some(long()),
            ..view()
        };
        let around = StatusContext { tail: Some("x".repeat(400)), ..StatusContext::default() };
        assert!(Value::Object(whole(&view, &around)).to_string().len() <= 24_000);
        assert!(Value::Object(brief(&view, &around)).to_string().len() <= 2_000);
    }

    #[test]
    fn next_step_names_the_test_results_only_if_tests_failed() {
        let hint = |failed| {
            let tests = Some(TestsView { failed, ..TestsView::default() });
            let view = ProcessView {
                work: "command".to_owned(),
                status: "failed".to_owned(),
                tests,
                ..ProcessView::default()
            };
            next(&view).unwrap()
        };
        assert!(hint(1).contains("get_test_results"), "{}", hint(1));
        assert!(hint(0).contains("read_process_output"), "{}", hint(0));
    }

    #[test]
    fn short_form_does_not_say_the_same_twice() {
        let view = ProcessView { reason: Some("r".to_owned()), error: Some("r".to_owned()), ..view() };
        let fields = brief(&view, &StatusContext::default());
        assert!(!fields.contains_key("reason") && fields["error"] == "r");
    }

    #[test]
    fn listed_fields_are_those_of_the_record_with_their_types() {
        let record = schema::bare::<ProcessView>();
        let known: JsonObject = record["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, schema)| (renamed(name), schema["type"].clone()))
            .collect();
        // These fields exist only in the result of the tool, not in the record.
        let own = ["terminal", "output", "tail", "next", "queue_position"];
        for (name, kind) in DESCRIBED.iter().filter(|(name, _)| !own.contains(name)) {
            assert_eq!(known[*name], *kind, "{name}");
        }
        for name in NAMED.iter().chain(BRIEF).filter(|name| !own.contains(name)) {
            assert!(known.contains_key(*name), "{name}");
        }
    }

    #[test]
    fn tokens_of_an_agent_are_in_both_forms() {
        let tokens = TokensView { input: 7, output: 8, cached: 0 };
        let view = ProcessView { tokens: Some(tokens), ..view() };
        for fields in [whole, brief].map(|form| form(&view, &StatusContext::default())) {
            assert_eq!(fields["tokens"], json!({ "input": 7, "output": 8, "cached": 0 }));
        }
    }

    #[test]
    fn every_status_is_terminal_or_not_as_the_rules_say() {
        for status in longhaul_domain::Status::ALL {
            assert_eq!(is_terminal(status.as_str()), status.is_ended(), "{status}");
        }
    }
}
