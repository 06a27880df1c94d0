//! Access to the fields of JSON values.

use serde_json::Value;

/// Returns the text at a path of field names.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// Returns the count at a path of field names; 0 if the field does not exist. Returns `None` if the field is not a
/// count, because the count is then unknown.
pub(super) fn count(value: &Value, path: &[&str]) -> Option<u64> {
    match at(value, path) {
        None | Some(Value::Null) => Some(0),
        Some(field) => field.as_u64(),
    }
}

/// Returns the object at a path of field names. Returns `None` if there is no object, or if it is empty.
pub(super) fn object<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    at(value, path).filter(|found| found.as_object().is_some_and(|fields| !fields.is_empty()))
}

/// Returns the items of the list at a path of field names.
pub(super) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the value at a path of field names.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}
