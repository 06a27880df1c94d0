//! Limits of request fields that their types do not express, for the OpenAPI document. The code that interprets
//! requests enforces the limits; this module only documents them.

use longhaul_domain::{MAX_NAME_LEN, RetryPolicy};
use serde_json::{Map, Value, json};

/// Maximum duration that a request may contain, in milliseconds: 30 days.
const MAX_DURATION_MS: u64 = 30 * 24 * 3_600 * 1_000;
/// Maximum length of a text that describes a process, in bytes.
const MAX_TEXT_LEN: usize = 4 * 1024;

/// Adds the limits of the fields to the schema of a request.
///
/// The schema stays a plain object. Rules that involve several fields are only described in prose: if an object also
/// has `oneOf`, `anyOf` or `allOf`, client generators drop its fields or cannot merge them.
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
    let required = required(name);
    if let Value::Object(fields) = schema
        && !required.is_empty()
    {
        fields.insert("required".to_owned(), json!(required));
    }
}

/// Returns the schema of a path parameter.
pub(super) fn of_path(name: &str) -> Value {
    match name {
        "reference" | "path" => json!({ "type": "string", "minLength": 1 }),
        _ => json!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME_LEN, "pattern": NAME }),
    }
}

/// Returns the description of a path parameter.
pub(super) fn about_path(name: &str) -> &'static str {
    match name {
        "reference" => {
            "Id, `bg-<id>`, unique prefix of an id with 4 or more characters, name, `agent:<agent id>`, or `@last`"
        }
        "key" => "Concurrency key; or a pattern such as `claude-*` where slots are changed",
        "node" => "Name of a node",
        "path" => "Path of the file, relative to the working directory; slashes may be encoded or not",
        _ => "Id of a session",
    }
}

/// Regular expression for a name: no control characters, and no space at either end.
const NAME: &str =
    r"^[^\s\u0000-\u001f\u007f-\u009f](?:[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$";

fn of_field(request: &str, field: &str) -> Map<String, Value> {
    let name = || json!({ "minLength": 1, "maxLength": MAX_NAME_LEN, "pattern": NAME });
    let text = |limit: usize| json!({ "maxLength": limit, "pattern": r"^[^\u0000]*$" });
    let span = || json!({ "maximum": MAX_DURATION_MS });
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
        ("CancelLevelRequest", "level") => json!({ "type": "integer" }),
        ("LaunchRequest", "description" | "parent_message_id" | "agent" | "model") => text(MAX_TEXT_LEN),
        ("LaunchRequest", "prompt") => text(256 * 1024),
        ("LaunchRequest", "metadata") => json!({ "type": ["object", "null"] }),
        ("LaunchRequest", "capabilities") => json!({
            "maxItems": 100,
            "items": { "type": "string", "minLength": 1, "maxLength": MAX_NAME_LEN, "pattern": NAME },
        }),
        ("LaunchRequest", "node_labels") => json!({
            "maxItems": 20,
            "items": { "type": "string", "minLength": 1, "maxLength": MAX_NAME_LEN, "pattern": NAME },
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
            json!({ "maxLength": MAX_TEXT_LEN, "pattern": r"^http://[^\s\u0000-\u001f\u007f-\u009f]*$" })
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
        ("LimitsRequest", "memory_bytes") => json!({ "minimum": 1_048_576, "maximum": u64::MAX }),
        ("LimitsRequest", _) => limit(),
        ("RetryRequest", "retries") => json!({ "maximum": RetryPolicy::MAX_RETRIES }),
        ("RetryRequest", "first_ms" | "cap_ms") => json!({ "maximum": 3_600_000 }),
        ("RetryRequest", "codes") => {
            json!({ "maxItems": 100, "items": { "type": "integer", "minimum": 1, "maximum": 255 } })
        }
        ("FailRequest", "error") => json!({ "minLength": 1, "maxLength": 64 * 1024, "pattern": r"\S" }),
        ("UpdateRequest", "status") => word(&["running", "completed", "failed", "cancelled"]),
        ("QueueRequest", "by") => json!({ "maxLength": 256, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$" }),
        ("RestartInterruptedRequest", "ids") => json!({ "maxItems": 1_000 }),
        ("ListRequest", "status") => {
            json!({ "items": { "type": "string", "enum": longhaul_wire::api::status_words() } })
        }
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

/// Returns the mandatory fields of a request.
fn required(request: &str) -> &'static [&'static str] {
    match request {
        "CommandRequest" => &["program", "directory"],
        "WatchRequest" => &["name", "pattern"],
        "FailRequest" => &["error"],
        "CancelLevelRequest" => &["level"],
        "WaitRequest" => &["id"],
        "SearchRequest" => &["pattern"],
        _ => &[],
    }
}

/// Removes the default values of fields, because they mislead client generators. Response fields are always present.
/// For a request field with a default value, a generator may assume that the field is mandatory, or may reject a
/// default value that is not among the enum values of the field.
pub(super) fn without_defaults(schema: &mut Value) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for field in fields.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        field.remove("default");
    }
}

/// Adds the enum values to a response field whose set of values is closed.
pub(super) fn list_words(name: &str, schema: &mut Value) {
    let words = match name {
        "ProcessView" => schema.pointer_mut("/properties/status"),
        _ => None,
    };
    if let Some(Value::Object(status)) = words {
        status.insert("enum".to_owned(), json!(longhaul_wire::api::status_words()));
    }
}

/// Adds the smallest and the largest value of the integer type to the schema of an integer.
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
