//! JSON schemas that every client accepts.
//!
//! Some clients reject the whole list of tools because of one keyword that they do not support, such as references,
//! lists of types or number formats. The schemas in this module use none of these keywords.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Keywords that are removed, because they have no meaning for a model or because some clients reject them.
const DROPPED: &[&str] = &["$schema", "$defs", "$id", "title", "format"];

/// 2 to the power of 53: the largest value up to which a float represents every integer exactly.
const MAX_EXACT_NUMBER: f64 = 9_007_199_254_740_992.0;

/// Returns the complete schema of a type. The schema contains only keywords that every client accepts.
pub(crate) fn of<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    plain(&mut schema);
    object(schema)
}

/// Returns the schema of a type without descriptions. The description of a tool already explains its result.
pub(crate) fn bare<T: JsonSchema>() -> Map<String, Value> {
    let mut schema = Value::Object(of::<T>());
    strip(&mut schema, "description");
    object(schema)
}

/// Returns the schema of an object with these fields. The schema gives no types, because a short schema costs few
/// tokens.
pub(crate) fn of_untyped(fields: &[&str]) -> Map<String, Value> {
    let fields: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), json!({}))).collect();
    object(json!({ "type": "object", "properties": fields }))
}

/// Removes a keyword from a schema and all schemas inside it.
pub(crate) fn strip(schema: &mut Value, keyword: &str) {
    if let Value::Object(keywords) = schema {
        keywords.remove(keyword);
    }
    each_within(schema, &mut |inner| strip(inner, keyword));
}

/// Returns the keywords of a schema. For a schema that accepts every value, there are none.
pub(crate) fn object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(keywords) => keywords,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// Converts whole floats to integers in fields whose type is `integer`.
pub(crate) fn settle(schemas: &Map<String, Value>, fields: &mut Map<String, Value>) {
    for (name, value) in fields {
        let Some(schema) = schemas.get(name) else { continue };
        match value {
            Value::Number(number)
                if number.is_f64() && schema.get("type").is_some_and(|kind| kind == "integer") =>
            {
                if let Some(integer) = number.as_f64().and_then(integer) {
                    *value = integer.into();
                }
            }
            Value::Object(inner) => {
                if let Some(Value::Object(schemas)) = schema.get("properties") {
                    settle(schemas, inner);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}

/// Returns the integer value of a float. Returns `None` if the float has a fraction or is too large to be exact.
fn integer(number: f64) -> Option<i64> {
    if number.fract() != 0.0 || number.abs() > MAX_EXACT_NUMBER {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

fn plain(schema: &mut Value) {
    // The schema `true` accepts every value, like a schema without keywords.
    if *schema == Value::Bool(true) {
        *schema = Value::Object(Map::new());
    }
    let Value::Object(keywords) = schema else { return };
    for dropped in DROPPED {
        keywords.remove(*dropped);
    }
    if keywords.get("default").is_some_and(says_nothing) {
        keywords.remove("default");
    }
    if keywords.get("minimum").and_then(Value::as_f64) == Some(0.0) {
        keywords.remove("minimum");
    }
    only_type(keywords);
    only_choice(keywords);
    only_words(keywords);
    if keywords.get("additionalProperties") == Some(&Value::Bool(true)) {
        keywords.remove("additionalProperties");
    }
    each_within(schema, &mut plain);
}

fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Replaces `["integer", "null"]` by `integer`. Clients may omit the field, so null is not needed.
fn only_type(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = keywords.get("type") else { return };
    if let Some(first) = types.iter().find(|kind| *kind != "null").cloned() {
        keywords.insert("type".to_owned(), first);
    }
}

/// Replaces a choice between one type and null by this type. Clients may omit the field, so null is not needed.
fn only_choice(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = keywords.get("anyOf") else { return };
    let mut real = choices.iter().filter(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    let (Some(Value::Object(one)), None) = (real.next().cloned(), real.next()) else { return };
    keywords.remove("anyOf");
    for (keyword, value) in one {
        keywords.entry(keyword).or_insert(value);
    }
}

/// Replaces a choice between constants with descriptions by an `enum` without descriptions.
fn only_words(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = keywords.get("oneOf") else { return };
    let words: Option<Vec<Value>> = choices.iter().map(|choice| choice.get("const").cloned()).collect();
    if let Some(words) = words {
        keywords.remove("oneOf");
        keywords.insert("type".to_owned(), Value::String("string".to_owned()));
        keywords.insert("enum".to_owned(), Value::Array(words));
    }
}

/// Calls `act` for each schema directly inside a schema. The map of properties is not a schema itself.
fn each_within(schema: &mut Value, act: &mut dyn FnMut(&mut Value)) {
    let Value::Object(keywords) = schema else { return };
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(&mut *act),
            ("items" | "additionalProperties", inner) => act(inner),
            ("anyOf" | "oneOf" | "allOf", Value::Array(choices)) => choices.iter_mut().for_each(&mut *act),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Sample {
        /// How many.
        count: Option<u32>,
        format: Word,
        inner: Option<Inner>,
        any: Value,
        many: Vec<Inner>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Inner {
        size: i64,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Word {
        /// First value of the sample.
        One,
        /// Second value of the sample.
        TwoThree,
    }

    #[test]
    fn schema_contains_only_widely_supported_keywords() {
        let inner =
            json!({"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]});
        let expected = json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "description": "How many."},
                "format": {"type": "string", "enum": ["one", "two_three"]},
                "inner": inner,
                "any": {},
                "many": {"type": "array", "items": inner},
            },
            "required": ["format", "any", "many"],
        });
        assert_eq!(Value::Object(of::<Sample>()), expected);
    }

    #[test]
    fn whole_number_is_an_integer_where_one_is_meant() {
        let Value::Object(schemas) = json!({
            "count": { "type": "integer" },
            "inner": { "type": "object", "properties": { "count": { "type": "integer" } } },
            "any": {},
        }) else {
            return;
        };
        let mut fields = object(json!({ "count": 3.0, "inner": { "count": -1.0 }, "any": 3.0 }));
        settle(&schemas, &mut fields);
        assert_eq!(Value::Object(fields), json!({ "count": 3, "inner": { "count": -1 }, "any": 3.0 }));
        let mut fields = object(json!({ "count": 3.5 }));
        settle(&schemas, &mut fields);
        assert_eq!(Value::Object(fields), json!({ "count": 3.5 }));
    }

    #[test]
    fn bare_schema_describes_nothing() {
        assert!(!Value::Object(bare::<Sample>()).to_string().contains("description"));
    }
}
