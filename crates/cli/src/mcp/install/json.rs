//! Inserts the longhaul entry into a JSON file and leaves every other byte unchanged.

use super::desired::{DesiredEntry, EditError, EditedConfig, EntryMember, is_off, newline, without_mark};
use object::ObjectSpan;
use serde_json::{Map, Value};

mod object;

/// Indentation of each level, if the file itself shows none.
const INDENT: &str = "  ";

/// Returns the text with the entry inserted under the keys `group` and `name`.
pub(super) fn with_entry(
    text: &str,
    group: &str,
    name: &str,
    desired: &DesiredEntry,
) -> Result<EditedConfig, EditError> {
    let (mark, body) = without_mark(text);
    let body = if body.trim().is_empty() { "{}\n" } else { body };
    let mut expected: Value =
        serde_json::from_str(body).map_err(|error| EditError::Json { error: error.to_string() })?;
    let shape = |place: &str| EditError::Shape { place: place.to_owned(), wanted: "object" };
    let top = expected.as_object_mut().ok_or_else(|| shape("the content of the file"))?;
    let entries = top.entry(group).or_insert_with(|| Map::new().into());
    let entries = entries.as_object_mut().ok_or_else(|| shape(&format!("the member {group} of the file")))?;
    let mut after = body.to_owned();
    let mut is_switched_off = false;
    if let Some(Value::Object(found)) = entries.get_mut(name) {
        is_switched_off = is_off(found);
        for member in desired.changes(found)? {
            after = with_member(&after, group, name, member).ok_or(EditError::Layout)?;
            found.insert(member.key.to_owned(), member.value.clone());
        }
    } else {
        after = with_whole(&after, group, name, desired).ok_or(EditError::Layout)?;
        let whole = desired.0.iter().map(|member| (member.key.to_owned(), member.value.clone()));
        entries.insert(name.to_owned(), whole.collect());
    }
    // This check detects errors of the text edit: the result must parse to exactly the expected value.
    if serde_json::from_str::<Value>(&after).ok() != Some(expected) {
        return Err(EditError::Layout);
    }
    Ok(EditedConfig { text: format!("{mark}{after}"), is_off: is_switched_off })
}

/// Returns the text with one member of an existing entry changed or added.
fn with_member(text: &str, group: &str, name: &str, member: &EntryMember) -> Option<String> {
    let top = ObjectSpan::top(text)?;
    let entry = top.object(text, group)?.object(text, name)?;
    let value = on_one_line(&member.value);
    match entry.value_of(text, member.key) {
        Some(old) => {
            let mut changed = text.to_owned();
            changed.replace_range(old, &value);
            Some(changed)
        }
        None => {
            let unit = unit(&top, text);
            let text_of = format!("{}: {value}", quoted(member.key));
            Some(entry.with(text, &text_of, &unit, 2, newline(text)))
        }
    }
}

/// Returns the text with the whole entry inserted, or replaced if it exists.
fn with_whole(text: &str, group: &str, name: &str, desired: &DesiredEntry) -> Option<String> {
    let top = ObjectSpan::top(text)?;
    let (unit, newline) = (unit(&top, text), newline(text));
    let entry = whole(desired, &unit, newline);
    let Some(found) = top.value_of(text, group) else {
        let inner = format!("{{{newline}{unit}{unit}{}: {entry}{newline}{unit}}}", quoted(name),);
        return Some(top.with(text, &format!("{}: {inner}", quoted(group)), &unit, 0, newline));
    };
    let inner = ObjectSpan::at(text, found.start)?;
    match inner.value_of(text, name) {
        Some(old) => {
            let mut changed = text.to_owned();
            changed.replace_range(old, &entry);
            Some(changed)
        }
        None => Some(inner.with(text, &format!("{}: {entry}", quoted(name)), &unit, 1, newline)),
    }
}

/// Returns the indentation that this file uses for each level.
fn unit(top: &ObjectSpan, text: &str) -> String {
    top.indent(text).unwrap_or_else(|| INDENT.to_owned())
}

/// Returns the entry as text on several lines, with the indentation for its place at the second level.
fn whole(desired: &DesiredEntry, unit: &str, newline: &str) -> String {
    let members: Vec<String> = desired
        .0
        .iter()
        .map(|member| format!("{}{}: {}", unit.repeat(3), quoted(member.key), on_one_line(&member.value)))
        .collect();
    format!("{{{newline}{}{newline}{}}}", members.join(&format!(",{newline}")), unit.repeat(2))
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
