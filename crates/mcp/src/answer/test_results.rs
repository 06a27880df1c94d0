//! Result of `get_test_results`, which has the same form as in the HTTP API.

use crate::answer::JsonObject;
use crate::schema;
use serde_json::Value;

/// Fields that the schema names. The schema is short, because each conversation of an agent pays for it in tokens.
const FIELDS: &[&str] = &["status", "tests", "groups", "collection_errors", "cases", "cursor"];

/// Returns the schema of the result of `get_test_results`.
pub(crate) fn tests_schema() -> JsonObject {
    schema::of_untyped(FIELDS)
}

/// Removes all fields that are null, zero or an empty list, including fields of inner objects, because they would only
/// cost tokens.
pub(crate) fn without_nulls(fields: JsonObject) -> JsonObject {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(_) | Value::String(_) | Value::Object(_) => false,
    };
    fields
        .into_iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| (name, inner_without_nulls(value)))
        .collect()
}

fn inner_without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_nulls(fields)),
        Value::Array(items) => items.into_iter().map(inner_without_nulls).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_fields_are_left_out() {
        let Value::Object(fields) = json!({
            "a": null, "b": [], "c": 0, "d": 0.0, "e": false, "f": "", "g": 1,
            "h": { "i": null, "j": [{ "k": null, "l": 2 }] }
        }) else {
            panic!("it is an object")
        };
        let left = Value::Object(without_nulls(fields));
        assert_eq!(left, json!({ "e": false, "f": "", "g": 1, "h": { "j": [{ "l": 2 }] } }));
    }
}
