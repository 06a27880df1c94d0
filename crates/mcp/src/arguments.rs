//! Validation of tool arguments, with error messages in JSON terms.

use crate::truncate::brief;
use serde_json::{Map, Value};

/// Minimum length in bytes of a name part that is compared with the parts of other names.
const MIN_PART_LEN: usize = 3;

/// Checks the arguments of a tool call against the schema of the tool.
///
/// # Errors
/// Describes the first invalid argument.
pub(crate) fn check(schema: &Map<String, Value>, arguments: &Map<String, Value>) -> Result<(), String> {
    fields("", schema, arguments)
}

fn fields(within: &str, schema: &Map<String, Value>, given: &Map<String, Value>) -> Result<(), String> {
    let Some(Value::Object(known)) = schema.get("properties") else { return Ok(()) };
    for (name, value) in given {
        match known.get(name) {
            Some(Value::Object(schema)) => field(&format!("{within}{name}"), schema, value)?,
            Some(_) => {}
            None => return Err(unknown(within, name, known)),
        }
    }
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match required.iter().filter_map(Value::as_str).find(|name| !given.contains_key(*name)) {
        Some(missing) => Err(format!("{within}{missing} is missing")),
        None => Ok(()),
    }
}

fn field(name: &str, schema: &Map<String, Value>, value: &Value) -> Result<(), String> {
    let kind = schema.get("type").and_then(Value::as_str);
    // An argument that may be left out may also have the value null.
    if value.is_null() {
        return Ok(());
    }
    let fits = match kind {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    };
    if let (false, Some(kind)) = (fits, kind) {
        let article = if matches!(kind, "object" | "array" | "integer") { "an" } else { "a" };
        return Err(format!("{name} must be {article} {kind}, not {}", brief(&value.to_string())));
    }
    if let (Some(Value::Array(words)), Some(word)) = (schema.get("enum"), value.as_str()) {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        if !is_one_of(&words, word) {
            let meant = nearest(word, &words).map(|near| format!("; nearest: {near}")).unwrap_or_default();
            return Err(format!("{name} must be one of {}, not {:?}{meant}", words.join(", "), brief(word)));
        }
    }
    if let Some(number) = value.as_f64() {
        within(name, schema, ("minimum", "maximum"), number, value)?;
    }
    match value {
        Value::Array(items) => {
            // The length of an array is always small enough to be represented exactly by a float.
            #[expect(clippy::cast_precision_loss, reason = "the value is far below 2 to the power of 53")]
            let length = items.len() as f64;
            within(
                &format!("the length of {name}"),
                schema,
                ("minItems", "maxItems"),
                length,
                &items.len().into(),
            )?;
            match schema.get("items") {
                Some(Value::Object(schema)) => items.iter().try_for_each(|item| field(name, schema, item)),
                _ => Ok(()),
            }
        }
        Value::Object(given) => match schema.get("additionalProperties") {
            Some(Value::Object(schema)) => {
                given.iter().try_for_each(|(inner, value)| field(&format!("{name}.{inner}"), schema, value))
            }
            _ => fields(&format!("{name}."), schema, given),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Checks a number against its bounds. Without a lower bound, the number must not be negative.
fn within(
    name: &str,
    schema: &Map<String, Value>,
    (lower, upper): (&str, &str),
    number: f64,
    shown: &Value,
) -> Result<(), String> {
    let min = schema.get(lower).and_then(Value::as_f64).unwrap_or_default();
    match schema.get(upper).and_then(Value::as_f64) {
        Some(limit) if !(min..=limit).contains(&number) => {
            Err(format!("{name} must be from {min} to {limit}, not {shown}"))
        }
        None if number < min => Err(format!("{name} must be at least {min}, not {shown}")),
        Some(_) | None => Ok(()),
    }
}

/// Returns true if the word is one of the allowed words. If `custom` is allowed, `custom:<name>` is allowed too.
fn is_one_of(words: &[&str], word: &str) -> bool {
    words.contains(&word) || (words.contains(&"custom") && word.starts_with("custom:"))
}

fn unknown(within: &str, name: &str, known: &Map<String, Value>) -> String {
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    let meant = nearest(name, &known).map(|near| format!("; nearest: {near}")).unwrap_or_default();
    let name = format!("{within}{}", brief(name));
    format!("there is no argument {name:?}{meant}; the arguments are {}", known.join(", "))
}

/// Returns the candidate that is most similar to `word`. Returns `None` if no candidate is similar.
///
/// A candidate is similar if one of its parts and a part of `word` start with the same text, or if the edit distance is
/// small. Among similar candidates, those that start with the same text as `word` come first. The other candidates are
/// ordered by their edit distance.
fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let word = brief(word).to_ascii_lowercase();
    let begins_alike = |one: &str, other: &str| {
        one.len().min(other.len()) >= MIN_PART_LEN && (one.starts_with(other) || other.starts_with(one))
    };
    let shares_a_part = |other: &str| {
        let mut pairs = word.split('_').flat_map(|mine| other.split('_').map(move |theirs| (mine, theirs)));
        pairs.any(|(mine, theirs)| begins_alike(mine, theirs))
    };
    let reach = (word.chars().count() / 3).max(1);
    let far = |other: &str| strsim::osa_distance(&word, other);
    let alike = words.iter().copied().filter(|other| far(other) <= reach || shares_a_part(other));
    alike.min_by_key(|other| (!begins_alike(&word, other), far(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tool;
    use serde_json::json;

    fn error_text(tool: Tool, arguments: Value) -> String {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        check(&tool.input(), &arguments).unwrap_err()
    }

    #[test]
    fn wrong_argument_is_named_in_words_of_json() {
        let start = |field: &str, value: Value| {
            let mut arguments = json!({ "process_type": "build", "name": "n", "command": "c" });
            arguments[field] = value;
            error_text(Tool::StartBackgroundProcess, arguments)
        };
        assert_eq!(start("name", json!(7)), "name must be a string, not 7");
        assert_eq!(start("timeout", json!("60")), "timeout must be a number, not \"60\"");
        assert_eq!(start("timeout", json!(-1)), "timeout must be from 0 to 2592000, not -1");
        assert_eq!(start("retries", json!(1.5)), "retries must be an integer, not 1.5");
        assert_eq!(start("args", json!("a b")), "args must be an array, not \"a b\"");
        assert_eq!(start("args", json!([1])), "args must be a string, not 1");
        assert_eq!(start("env", json!({ "A": 1 })), "env.A must be a string, not 1");
        assert_eq!(
            start("ready_when", json!({ "port": 70_000 })),
            "ready_when.port must be from 1 to 65535, not 70000"
        );
        assert_eq!(
            start("process_type", json!("test")),
            "process_type must be one of test_suite, build, server, analysis, custom, jules_session, not \"test\"; nearest: test_suite"
        );
        let unknown = start("timeout_seconds", json!(5));
        assert!(
            unknown.starts_with(
                "there is no argument \"timeout_seconds\"; nearest: timeout; the arguments are agent, "
            ),
            "{unknown}"
        );
        let ids = error_text(Tool::WaitForProcess, json!({ "process_ids": [] }));
        assert_eq!(ids, "the length of process_ids must be from 1 to 16, not 0");
        assert_eq!(error_text(Tool::PauseProcess, json!({})), "process_id is missing");
    }

    #[test]
    fn optional_arguments_may_be_null_and_custom_types_may_have_a_name() {
        let arguments = json!({ "process_type": "custom:lint", "name": "n", "command": "c", "cwd": null });
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        assert_eq!(check(&Tool::StartBackgroundProcess.input(), &arguments), Ok(()));
    }

    #[test]
    fn nearest_word_has_the_same_start_or_few_differences() {
        let types = crate::tool::input::TYPES;
        let find = |word: &str| nearest(word, &types);
        assert_eq!(find("tests"), Some("test_suite"));
        assert_eq!(find("Test"), Some("test_suite"));
        assert_eq!(find("biuld"), Some("build"));
        assert_eq!(find("dev_server"), Some("server"));
        assert_eq!(find("severs"), Some("server"));
        assert_eq!(find("coffee"), None);
    }
}
