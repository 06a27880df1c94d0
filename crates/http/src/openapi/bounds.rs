//! What requests may hold beyond what their types say. The checks themselves are made where requests are understood.

use longhaul_domain::{LONGEST_NAME, RetryPolicy};
use serde_json::{Map, Value, json};

/// The longest span of a request, in milliseconds: 30 days.
const LONGEST_MS: u64 = 30 * 24 * 3_600 * 1_000;
/// The longest text about a process, in bytes.
const LONGEST_TEXT: usize = 4 * 1024;

/// Adds to the schema of a request what its fields may hold.
pub(super) fn narrow(name: &str, schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (field, property) in properties.iter_mut() {
            if let Value::Object(property) = property {
                for (keyword, value) in of_field(name, field) {
                    property.insert(keyword, value);
                }
                fit(property);
                if let Some(Value::Object(items)) = property.get_mut("items") {
                    fit(items);
                }
            }
        }
    }
    if let Value::Object(fields) = schema {
        fields.extend(of_whole(name));
    }
}

/// The schema of a parameter in a path.
pub(super) fn of_path(name: &str) -> Value {
    match name {
        "reference" => json!({ "type": "string", "minLength": 1 }),
        _ => json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": NAME }),
    }
}

/// What a parameter in a path stands for.
pub(super) fn about_path(name: &str) -> &'static str {
    match name {
        "reference" => "An id, `bg-<id>`, a unique prefix of 4 or more characters, a name, or `@last`",
        "key" => "A concurrency key; a pattern such as `claude-*` where slots are changed",
        "node" => "The name of a node",
        _ => "The id of a session",
    }
}

/// No control characters, and no space at either end.
const NAME: &str =
    r"^[^\s\u0000-\u001f\u007f-\u009f](?:[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$";

fn of_field(request: &str, field: &str) -> Map<String, Value> {
    let name = || json!({ "minLength": 1, "maxLength": LONGEST_NAME, "pattern": NAME });
    let text = |most: usize| json!({ "maxLength": most, "pattern": r"^[^\u0000]*$" });
    let span = || json!({ "maximum": LONGEST_MS });
    let word = |words: &[&str]| {
        let mut words: Vec<Value> = words.iter().map(|word| json!(word)).collect();
        words.push(Value::Null);
        json!({ "enum": words })
    };
    let path = || json!({ "minLength": 1, "maxLength": 4096, "pattern": r"^/[^\u0000]*$" });
    let limit = || json!({ "minimum": 1 });
    let bounds = match (request, field) {
        (
            "LaunchRequest",
            "name" | "project" | "session_id" | "agent_id" | "agent_type" | "key" | "launch_key" | "node",
        )
        | ("ReportedRequest", "node_id")
        | ("UpdateRequest", "stage")
        | ("ListRequest", "project" | "session" | "name" | "node" | "key" | "agent_id")
        | ("StatsRequest", "session" | "project") => name(),
        ("LaunchRequest", "type") => json!({
            "pattern": "^(jules_session|test_suite|build|server|analysis|custom|custom:[^\\s\\u0000-\\u001f].*)$"
        }),
        ("LaunchRequest", "description" | "parent_message_id" | "agent" | "model") => text(LONGEST_TEXT),
        ("LaunchRequest", "prompt") => text(256 * 1024),
        ("LaunchRequest", "metadata") => json!({ "type": ["object", "null"] }),
        ("LaunchRequest", "capabilities") => json!({
            "maxItems": 100,
            "items": { "type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": NAME },
        }),
        ("LaunchRequest", "node_labels") => json!({
            "maxItems": 20,
            "items": { "type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": NAME },
        }),
        ("SignalRequest", "signal") => json!({ "minLength": 1, "maxLength": 16 }),
        ("LaunchRequest" | "PriorityRequest", "priority") => json!({ "minimum": -100, "maximum": 100 }),
        ("LaunchRequest", "delay_ms" | "session_grace_ms" | "idle_after_ms" | "stall_after_ms")
        | ("CommandRequest", "timeout_ms" | "grace_ms")
        | ("ReportedRequest", "heartbeat_ms" | "grace_ms")
        | ("EndSessionRequest", "grace_ms") => span(),
        ("LaunchRequest", "not_before") => json!({ "format": "date-time" }),
        ("LaunchRequest", "children") => word(&["keep", "cancel", "wait"]),
        ("LaunchRequest", "on_session_end") | ("EndSessionRequest", "policy") => {
            word(&["keep", "cancel", "grace"])
        }
        ("CommandRequest", "program") => {
            json!({ "minLength": 1, "maxLength": 128 * 1024, "pattern": r"^[^\u0000]+$" })
        }
        ("CommandRequest", "args") => {
            json!({ "maxItems": 999, "items": { "type": "string", "pattern": r"^[^\u0000]*$" } })
        }
        ("CommandRequest", "directory" | "stdin") => path(),
        ("CommandRequest", "watch") => json!({ "maxItems": 16 }),
        ("ReadyWhenRequest", "port") => json!({ "minimum": 1 }),
        ("ReadyWhenRequest", "http") => {
            json!({ "maxLength": LONGEST_TEXT, "pattern": r"^http://[^\s\u0000-\u001f\u007f-\u009f]*$" })
        }
        ("ReadyWhenRequest", "command") => {
            json!({ "minItems": 1, "items": { "type": "string", "pattern": r"^[^\u0000]*$" } })
        }
        ("ReadyWhenRequest", "log") | ("WatchRequest", "pattern") => {
            json!({ "minLength": 1, "maxLength": 1_024 })
        }
        ("WatchRequest", "name") => {
            json!({ "minLength": 1, "maxLength": 64, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$" })
        }
        ("InputRequest", "base64") => {
            json!({ "contentEncoding": "base64", "pattern": "^([0-9A-Za-z+/]{4})*([0-9A-Za-z+/][AQgw]==|[0-9A-Za-z+/]{2}[AEIMQUYcgkosw048]=)?$" })
        }
        ("CommandRequest", "stop_signal") => json!({ "minimum": 1, "maximum": 64 }),
        ("EnvironmentRequest", "captured" | "declared") => json!({
            "maxProperties": 1_000,
            "propertyNames": { "minLength": 1, "pattern": r"^[^=\u0000]+$" },
            "additionalProperties": { "type": "string", "pattern": r"^[^\u0000]*$" },
        }),
        ("EnvironmentRequest", "removed") => json!({ "maxItems": 1_000 }),
        ("OutputRequest", "head" | "tail") => json!({ "maximum": 64_u64 * 1024 * 1024 * 1024 }),
        ("LimitsRequest", _) => limit(),
        ("RetryRequest", "retries") => json!({ "maximum": RetryPolicy::MOST_RETRIES }),
        ("RetryRequest", "first_ms" | "cap_ms") => json!({ "maximum": 3_600_000 }),
        ("RetryRequest", "codes") => {
            json!({ "maxItems": 100, "items": { "type": "integer", "minimum": 1, "maximum": 255 } })
        }
        ("FailRequest", "error") => json!({ "minLength": 1, "maxLength": 64 * 1024, "pattern": r"\S" }),
        ("UpdateRequest", "status") => word(&["running", "completed", "failed", "cancelled"]),
        ("QueueRequest", "by") => json!({ "maxLength": 256, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$" }),
        ("RestartInterruptedRequest", "ids") => json!({ "maxItems": 1_000 }),
        ("ListRequest", "status") => json!({ "items": { "type": "string", "enum": STATUSES } }),
        ("ListRequest", "limit") => json!({ "minimum": 1, "maximum": 1_000 }),
        ("ListRequest", "cursor") => json!({ "pattern": "^[0-9]{1,19}$" }),
        ("ListRequest", "prefix") => json!({ "pattern": "^(bg-)?[0-9a-fA-F-]+$" }),
        ("ReadRequest", "from_line" | "attempt") | ("SearchRequest", "attempt") => json!({ "minimum": 1 }),
        ("ReadRequest", "wait_ms") => json!({ "maximum": 55_000 }),
        ("SearchRequest", "pattern") => json!({ "minLength": 1, "maxLength": 1_024 }),
        ("SearchRequest", "context") => json!({ "maximum": 5 }),
        ("SearchRequest", "max_matches") => json!({ "minimum": 1, "maximum": 100 }),
        ("ReadRequest" | "SearchRequest", "max_tokens") => json!({ "minimum": 100, "maximum": 8_000 }),
        ("WaitRequest", "id") => {
            json!({ "minItems": 1, "maxItems": 1_000, "items": { "type": "string", "minLength": 1 } })
        }
        ("WaitRequest", "for") => word(&["ended", "tree_ended", "running", "ready"]),
        ("WaitRequest", "mode") => word(&["all", "any"]),
        _ => return Map::new(),
    };
    match bounds {
        Value::Object(bounds) => bounds,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// What the fields of a request may hold together.
fn of_whole(request: &str) -> Map<String, Value> {
    let present =
        |field: &str, schema: Value| json!({ "required": [field], "properties": { field: schema } });
    let bounds = match request {
        "LaunchRequest" => json!({ "oneOf": [
            present("command", json!({ "not": { "type": "null" } })),
            present("reported", json!({ "not": { "type": "null" } })),
        ]}),
        "CommandRequest" => json!({ "required": ["program", "directory"], "anyOf": [
            json!({ "properties": { "stdin": { "type": "null" } } }),
            json!({ "properties": { "stdin_pipe": { "const": false } } }),
        ]}),
        "ReadyWhenRequest" => {
            let ways = ["port", "http", "log", "command"];
            json!({ "oneOf": ways.map(|way| present(way, json!({ "not": { "type": "null" } }))) })
        }
        "WatchRequest" => json!({ "required": ["name", "pattern"] }),
        "InputRequest" => json!({ "anyOf": [
            present("text", json!({ "type": "string", "minLength": 1 })),
            present("base64", json!({ "type": "string", "minLength": 1 })),
            present("close", json!({ "const": true })),
        ], "allOf": [{ "anyOf": [
            json!({ "properties": { "text": { "type": "null" } } }),
            json!({ "properties": { "base64": { "type": "null" } } }),
        ]}]}),
        "FailRequest" => json!({ "required": ["error"] }),
        "CancelLevelRequest" => json!({ "allOf": [present("level", json!({ "type": "integer" }))] }),
        "EndSessionRequest" => json!({ "anyOf": [
            json!({ "properties": { "grace_ms": { "type": "null" } } }),
            present("policy", json!({ "const": "grace" })),
        ]}),
        "WaitRequest" => json!({ "required": ["id"] }),
        "SearchRequest" => json!({ "required": ["pattern"] }),
        "PriorityRequest" => json!({ "oneOf": [
            present("priority", json!({ "type": "integer" })),
            present("first", json!({ "const": true })),
        ]}),
        "PruneRequest" => json!({ "anyOf": [
            present("older_than_ms", json!({ "type": "integer" })),
            present("keep", json!({ "type": "integer" })),
            present("bytes", json!({ "type": "integer" })),
        ]}),
        "ClearRequest" => json!({ "oneOf": [
            present("dry_run", json!({ "const": true })),
            present("confirm", json!({ "const": true })),
        ]}),
        "QueueRequest" => json!({ "anyOf": [
            present("slots", json!({ "not": { "type": "null" } })),
            present("held", json!({ "type": "boolean" })),
        ], "allOf": [{ "anyOf": [
            json!({ "properties": { "by": { "type": "null" } } }),
            present("held", json!({ "const": true })),
        ]}]}),
        _ => return Map::new(),
    };
    match bounds {
        Value::Object(bounds) => bounds,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

const STATUSES: &[&str] = &[
    "pending",
    "starting",
    "running",
    "paused",
    "stopping",
    "completed",
    "failed",
    "timeout",
    "cancelled",
    "interrupted",
];

/// An integer has no more room than its type.
fn fit(schema: &mut Map<String, Value>) {
    let (lowest, highest) = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => (json!(0), json!(u8::MAX)),
        Some("uint16") => (json!(0), json!(u16::MAX)),
        Some("uint32") => (json!(0), json!(u32::MAX)),
        Some("uint64") => (json!(0), json!(u64::MAX)),
        Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
        Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
        Some(_) | None => return,
    };
    schema.entry("minimum").or_insert(lowest);
    schema.entry("maximum").or_insert(highest);
}
