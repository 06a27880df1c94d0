//! Shortens long values in tool results, and marks them as shortened.

use crate::answer::JsonObject;
use serde_json::{Value, json};

/// Shortens each field of a record that is longer than `max_len` bytes of JSON. `rest` is the URI of the resource that
/// contains the full values.
pub(super) fn cut(fields: &mut JsonObject, max_len: usize, rest: &str) {
    for value in fields.values_mut() {
        let length = value.to_string().len();
        if length > max_len {
            *value = shortened(value, length, max_len / 2, rest);
        }
    }
}

/// Returns a shortened value with a mark. `room` is the space for the original content, in bytes of JSON.
fn shortened(value: &Value, length: usize, room: usize, rest: &str) -> Value {
    match value {
        Value::String(text) => {
            Value::String(format!("{}… ({} bytes; complete value: {rest})", begin(text, room), text.len()))
        }
        Value::Array(items) => {
            let mut room = room;
            let mut kept: Vec<Value> = Vec::new();
            for item in items {
                let size = item.to_string().len();
                if size > room {
                    break;
                }
                room -= size;
                kept.push(item.clone());
            }
            kept.push(Value::String(format!("… ({} more; complete list: {rest})", items.len() - kept.len())));
            Value::Array(kept)
        }
        Value::Object(_) => {
            json!({ "truncated": true, "bytes": length, "begin": begin(&value.to_string(), room), "rest": rest })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Returns the start of a text, limited to `limit` bytes of JSON.
pub(super) fn begin(text: &str, limit: usize) -> &str {
    let mut room = limit;
    for (place, letter) in text.char_indices() {
        let size = match letter {
            '"' | '\\' | '\n' | '\t' | '\r' => 2,
            letter if letter.is_control() => 6,
            letter => letter.len_utf8(),
        };
        if size > room {
            return text.get(..place).unwrap_or_default();
        }
        room -= size;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_field_is_cut_and_names_the_resource_with_the_rest() {
        let mut fields = JsonObject::new();
        fields.insert("short".to_owned(), json!({ "a": 1 }));
        fields.insert("text".to_owned(), json!("é".repeat(5_000)));
        fields.insert("list".to_owned(), json!(vec!["x".repeat(100); 100]));
        fields.insert("object".to_owned(), json!({ "key": "\u{1}".repeat(4_000) }));
        cut(&mut fields, 2_048, "REST");
        assert_eq!(fields["short"], json!({ "a": 1 }));
        assert!(fields["text"].as_str().unwrap().ends_with("… (10000 bytes; complete value: REST)"));
        let list = fields["list"].as_array().unwrap();
        assert_eq!(list.last().unwrap(), "… (90 more; complete list: REST)");
        assert_eq!(fields["object"]["truncated"], true);
        assert_eq!(fields["object"]["rest"], "REST");
        for value in fields.values() {
            assert!(value.to_string().len() <= 2_048 + 200, "{}", value.to_string().len());
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(begin("äöü", 5), "äö");
        assert_eq!(begin("a\"b", 2), "a");
        assert_eq!(begin("abc", 3), "abc");
    }
}
