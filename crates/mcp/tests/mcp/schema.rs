//! Validates results against schemas. Only the keywords that the schemas use are supported; any other keyword fails.

use serde_json::Value;

/// Checks a value against a schema. Descriptions and limits of numbers are ignored.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().ok_or_else(|| format!("{schema} is no schema"))?;
    for (keyword, expected) in keywords {
        match keyword.as_str() {
            "type" => check_type(expected, value)?,
            "properties" => {
                for (name, inner) in expected.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        check(inner, field).map_err(|wrong| format!("{name}: {wrong}"))?;
                    }
                }
            }
            "required" => {
                for name in expected.as_array().unwrap() {
                    value.get(name.as_str().unwrap()).ok_or_else(|| format!("{name} is missing"))?;
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(expected, item)?;
                }
            }
            "enum" => {
                if !expected.as_array().unwrap().contains(value) {
                    return Err(format!("{value} is none of {expected}"));
                }
            }
            "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (name, field) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    if *expected == Value::Bool(false) {
                        return Err(format!("{name} is not expected"));
                    }
                    check(expected, field)?;
                }
            }
            "description" | "default" | "minimum" | "maximum" | "minItems" | "maxItems" => {}
            other => return Err(format!("{other} is no keyword of ours")),
        }
    }
    Ok(())
}

fn check_type(expected: &Value, value: &Value) -> Result<(), String> {
    let fits = match expected.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => return Err(format!("{expected} is no one type")),
    };
    if fits { Ok(()) } else { Err(format!("{value} is no {expected}")) }
}
