//! Inserts the longhaul entry into a TOML file and leaves the rest of the file unchanged.

use super::desired::{DesiredEntry, EditError, EditedConfig, EntryMember, is_off, newline, without_mark};
use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, Item, TableLike, Value as TomlValue};

/// Returns the text with the entry inserted as table `group.name`.
pub(super) fn with_entry(
    text: &str,
    group: &str,
    name: &str,
    desired: &DesiredEntry,
) -> Result<EditedConfig, EditError> {
    let (mark, body) = without_mark(text);
    let before = read(body)?;
    let newline = newline(body);
    let shape = |place: String| EditError::Shape { place, wanted: "table" };
    let group_is_there = match before.get(group) {
        None => false,
        Some(Value::Object(_)) => true,
        Some(_) => return Err(shape(format!("the member {group} of the file"))),
    };
    let mut expected = before;
    let entries = expected.entry(group).or_insert_with(|| Map::new().into());
    let found = entries.as_object_mut().map(|entries| entries.entry(name).or_insert(Value::Null));
    let (after, off) = match found {
        Some(Value::Object(found)) => {
            let changes = desired.changes(found)?;
            let off = is_off(found);
            let after = with_members(body, group, name, &changes, newline)?;
            found.extend(changes.into_iter().map(|member| (member.key.to_owned(), member.value.clone())));
            (after, off)
        }
        Some(found @ Value::Null) => {
            *found = desired.0.iter().map(|member| (member.key.to_owned(), member.value.clone())).collect();
            let appended = with_table(body, group, name, desired, newline);
            let after = match read(&appended) {
                // The group is an inline table, which cannot be extended by a separate `[group.name]` section.
                Err(_) if group_is_there => with_inline(body, group, name, desired, newline)?,
                Err(_) | Ok(_) => appended,
            };
            (after, false)
        }
        Some(_) | None => return Err(shape(format!("the member {group}.{name} of the file"))),
    };
    // This check detects errors of the text edit: the result must parse to exactly the expected value.
    if read(&after).ok() != Some(expected) {
        return Err(EditError::Layout);
    }
    Ok(EditedConfig { text: format!("{mark}{after}"), is_off: off })
}

/// Parses the text to a value that does not contain the layout of the text.
fn read(text: &str) -> Result<Map<String, Value>, EditError> {
    let broken = |error: &dyn ToString| {
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        EditError::Toml { error: first.strip_prefix("TOML parse error ").unwrap_or(first).to_owned() }
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| broken(&error))?;
    match serde_json::to_value(table).map_err(|error| broken(&error))? {
        Value::Object(read) => Ok(read),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(EditError::Layout)
        }
    }
}

/// Returns the text with the entry added as a new section at the end.
fn with_table(text: &str, group: &str, name: &str, desired: &DesiredEntry, newline: &str) -> String {
    let gap = match text {
        "" => String::new(),
        text if text.ends_with('\n') => newline.to_owned(),
        _ => newline.repeat(2),
    };
    let lines: String = desired
        .0
        .iter()
        .map(|member| format!("{} = {}{newline}", member.key, value(&member.value)))
        .collect();
    format!("{text}{gap}[{group}.{name}]{newline}{lines}")
}

/// Returns the text with some members of an existing entry changed or added.
fn with_members(
    text: &str,
    group: &str,
    name: &str,
    members: &[&EntryMember],
    newline: &str,
) -> Result<String, EditError> {
    if members.is_empty() {
        return Ok(text.to_owned());
    }
    edited(text, newline, |document| {
        let entries = document.get_mut(group)?.as_table_like_mut()?;
        let entry = entries.get_mut(name)?.as_table_like_mut()?;
        for member in members {
            put(entry, member);
        }
        Some(())
    })
}

/// Returns the text with the entry inserted into a group that is an inline table.
fn with_inline(
    text: &str,
    group: &str,
    name: &str,
    desired: &DesiredEntry,
    newline: &str,
) -> Result<String, EditError> {
    edited(text, newline, |document| {
        let mut entry = toml_edit::InlineTable::new();
        for member in &desired.0 {
            put(&mut entry, member);
        }
        document.get_mut(group)?.as_table_like_mut()?.insert(name, toml_edit::value(entry));
        Some(())
    })
}

/// Applies a change to the parsed text. The parser supports only `\n`, so the line endings are converted to `\n` before
/// the change and back afterwards.
fn edited(
    text: &str,
    newline: &str,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<String, EditError> {
    let plain = text.replace("\r\n", "\n");
    if plain.replace('\n', newline) != text {
        return Err(EditError::Layout);
    }
    let mut document: DocumentMut = plain.parse().map_err(|_| EditError::Layout)?;
    // Refuses a text that changes when it is parsed and printed without any edit.
    if document.to_string() != plain {
        return Err(EditError::Layout);
    }
    change(&mut document).ok_or(EditError::Layout)?;
    Ok(document.to_string().replace('\n', newline))
}

/// Sets a member of a table. Comments and spaces around an existing value are preserved.
fn put(entry: &mut dyn TableLike, member: &EntryMember) {
    let mut fresh = value(&member.value);
    match entry.get_mut(member.key).and_then(Item::as_value_mut) {
        Some(old) => {
            *fresh.decor_mut() = old.decor().clone();
            *old = fresh;
        }
        None => {
            entry.insert(member.key, Item::Value(fresh));
        }
    }
}

fn value(value: &Value) -> TomlValue {
    match value {
        Value::Bool(truth) => TomlValue::from(*truth),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Array>().into(),
        Value::String(text) => TomlValue::from(text),
        Value::Null | Value::Number(_) | Value::Object(_) => TomlValue::from(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::desired::MergeRule;
    use super::*;
    use serde_json::json;

    fn desired() -> DesiredEntry {
        let member = |key, value| EntryMember { key, value, rule: MergeRule::Ours };
        DesiredEntry(vec![member("command", json!("/bin/longhaul")), member("args", json!(["mcp", "a b"]))])
    }

    fn put(text: &str) -> Result<String, EditError> {
        with_entry(text, "mcp_servers", "longhaul", &desired()).map(|edited| edited.text)
    }

    const TABLE: &str = "[mcp_servers.longhaul]\ncommand = \"/bin/longhaul\"\nargs = [\"mcp\", \"a b\"]\n";

    #[test]
    fn table_is_put_at_the_end_and_nothing_else_changes() {
        assert_eq!(put("").as_deref(), Ok(TABLE));
        for text in [
            "# mine\nmodel = \"m\"   # really\n\n[mcp_servers.other]\ncommand = \"x\"\n",
            "model = 'm' # no line end",
            "mcp_servers.other.command = \"x\"\n",
            "[[a]]\nb = 1\n\n\n",
            "\u{feff}a = 1\n",
        ] {
            let after = put(text).unwrap_or_else(|stuck| panic!("{text}: {stuck}"));
            assert!(after.starts_with(text) && after.ends_with(&format!("\n\n{TABLE}")), "{after}");
            assert_eq!(put(&after).as_deref(), Ok(after.as_str()));
        }
    }

    #[test]
    fn settings_of_the_user_in_the_table_are_kept() {
        let text = "a = 1 # one\n[mcp_servers.longhaul] # ours\n# why\nenabled = false\ncommand   =   \"/old\" # old\n\
                    startup_timeout_sec = 20\nargs = [ # many\n  \"x\",\n]\n[mcp_servers.longhaul.env]\nA = '1'\n\n[z]\nb = 2\n";
        let edited = with_entry(text, "mcp_servers", "longhaul", &desired()).unwrap();
        let expected = text
            .replace("\"/old\"", "\"/bin/longhaul\"")
            .replace("[ # many\n  \"x\",\n]", "[\"mcp\", \"a b\"]");
        assert_eq!(edited, EditedConfig { text: expected, is_off: true });
    }

    #[test]
    fn entry_is_found_however_it_is_written() {
        for text in [
            "mcp_servers = { longhaul = { command = \"y\" } }\n",
            "mcp_servers = { other = { command = \"y\" } }\n",
            "[mcp_servers]\nlonghaul = { command = \"y\", env = { A = \"1\" } }\n",
            "[mcp_servers]\nlonghaul.command = \"y\"\n",
            "[mcp_servers.longhaul.env]\nA = \"1\"\n",
            "[mcp_servers.\"longhaul\"]\n",
            "[mcp_servers]\n",
        ] {
            let after = put(text).unwrap_or_else(|stuck| panic!("{text}: {stuck}"));
            let found = read(&after).unwrap();
            assert_eq!(found["mcp_servers"]["longhaul"]["args"], json!(["mcp", "a b"]), "{after}");
            assert_eq!(text.contains("A = \"1\""), after.contains("A = \"1\""), "{after}");
            assert_eq!(put(&after).as_deref(), Ok(after.as_str()));
        }
    }

    #[test]
    fn line_ends_stay() {
        for text in ["a = 1\r\n", "[mcp_servers.longhaul]\r\ncommand = \"y\"\r\n# mine\r\n"] {
            let after = put(text).unwrap();
            assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{after:?}");
        }
        let mixed = "[mcp_servers.longhaul]\r\ncommand = \"y\"\n";
        assert_eq!(put(mixed), Err(EditError::Layout));
    }

    #[test]
    fn toml_that_cannot_be_edited_safely_is_left_unchanged() {
        assert!(matches!(put("nonsense"), Err(EditError::Toml { .. })));
        for text in
            ["mcp_servers = 1", "[mcp_servers]\nlonghaul = 1", "[[mcp_servers]]\nname = \"longhaul\"\n"]
        {
            assert!(matches!(put(text), Err(EditError::Shape { .. })), "{text}");
        }
        let elsewhere = "[mcp_servers.longhaul]\nurl = \"http://127.0.0.1:7077/mcp\"\n";
        assert_eq!(put(elsewhere), Err(EditError::Elsewhere { key: "url" }));
    }
}
