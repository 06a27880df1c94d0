//! Puts one entry into a file, and leaves every other byte as it is.

use serde_json::Value;
use std::ops::Range;

/// What is put in where nothing says how far lines are indented.
const INDENT: &str = "  ";

/// The text with an entry below two keys; none if it is no JSON object, or cannot be changed without changing more.
pub(super) fn json(text: &str, group: &str, name: &str, entry: &Value) -> Option<String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let before: Value = serde_json::from_str(text).ok()?;
    let after = changed(text, group, name, entry)?;
    let mut expected = before;
    let top = expected.as_object_mut()?;
    let inner = top.entry(group.to_owned()).or_insert_with(|| Value::Object(serde_json::Map::new()));
    inner.as_object_mut()?.insert(name.to_owned(), entry.clone());
    let is_right = serde_json::from_str::<Value>(&after).is_ok_and(|found| found == expected);
    is_right.then_some(after)
}

fn changed(text: &str, group: &str, name: &str, entry: &Value) -> Option<String> {
    let top = Object::at(text, text.find('{')?)?;
    let unit = top.indent(text).unwrap_or_else(|| INDENT.to_owned());
    let Some(found) = top.value_of(text, group) else {
        let inner = format!("{{\n{unit}{unit}{}\n{unit}}}", member(name, entry, &unit, 2));
        return Some(top.with(text, &format!("{}: {inner}", quoted(group)), &unit, 0));
    };
    let inner = Object::at(text, found.start)?;
    match inner.value_of(text, name) {
        Some(old) => {
            let mut changed = text.to_owned();
            changed.replace_range(old, &shifted(entry, &unit, 2));
            Some(changed)
        }
        None => Some(inner.with(text, &member(name, entry, &unit, 2), &unit, 1)),
    }
}

/// The text of TOML with a table; none if it is no TOML, or cannot be changed without changing more.
pub(super) fn toml(text: &str, group: &str, name: &str, entry: &toml::Table) -> Option<String> {
    let mut expected: toml::Table = text.parse().ok()?;
    let header = format!("[{group}.{name}]");
    let body = entry.to_string();
    let table = format!("{header}\n{}\n", body.trim_end());
    let tables = expected.entry(group).or_insert_with(|| toml::Table::new().into()).as_table_mut()?;
    let is_there = tables.insert(name.to_owned(), entry.clone().into()).is_some();
    let after = if is_there { replaced(text, &header, &table)? } else { appended(text, &table) };
    let is_right = after.parse::<toml::Table>().is_ok_and(|found| found == expected);
    is_right.then_some(after)
}

fn appended(text: &str, table: &str) -> String {
    let begin = text.trim_end();
    if begin.is_empty() { table.to_owned() } else { format!("{begin}\n\n{table}") }
}

/// Replaces a table from its header to the next one.
fn replaced(text: &str, header: &str, table: &str) -> Option<String> {
    let mut lines = text.split_inclusive('\n').peekable();
    let mut before = String::new();
    loop {
        let line = lines.next()?;
        if line.trim() == header {
            break;
        }
        before.push_str(line);
    }
    while lines.next_if(|line| !line.trim_start().starts_with('[')).is_some() {}
    let rest: String = lines.collect();
    let gap = if rest.is_empty() { "" } else { "\n" };
    Some(format!("{before}{table}{gap}{rest}"))
}

fn member(name: &str, entry: &Value, unit: &str, depth: usize) -> String {
    format!("{}: {}", quoted(name), shifted(entry, unit, depth))
}

/// A value over several lines, as it stands so deep.
fn shifted(entry: &Value, unit: &str, depth: usize) -> String {
    let text = serde_json::to_string_pretty(entry).unwrap_or_default();
    let mut lines = text.lines().map(|line| {
        let inner = line.trim_start();
        let steps = (line.len() - inner.len()) / INDENT.len();
        format!("{}{inner}", unit.repeat(steps))
    });
    let first = lines.next().unwrap_or_default();
    lines.fold(first, |all, line| format!("{all}\n{}{line}", unit.repeat(depth)))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Where an object and its members stand in a text that is JSON.
struct Object {
    open: usize,
    close: usize,
    members: Vec<(Range<usize>, Range<usize>)>,
}

impl Object {
    /// The object that begins here.
    fn at(text: &str, open: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.get(open) != Some(&b'{') {
            return None;
        }
        let mut members = Vec::new();
        let mut place = skipped(bytes, open + 1)?;
        loop {
            match bytes.get(place)? {
                b'}' => return Some(Self { open, close: place, members }),
                b',' => place = skipped(bytes, place + 1)?,
                _ => {
                    let key = place..value_end(bytes, place)?;
                    let colon = skipped(bytes, key.end)?;
                    let start = skipped(bytes, colon + 1)?;
                    let value = start..value_end(bytes, start)?;
                    place = skipped(bytes, value.end)?;
                    members.push((key, value));
                }
            }
        }
    }

    fn value_of(&self, text: &str, name: &str) -> Option<Range<usize>> {
        // Readers take the last of several members of one name.
        let mut found = self.members.iter().rev();
        let is_named = |key: &Range<usize>| {
            text.get(key.clone()).and_then(|key| serde_json::from_str::<String>(key).ok()).as_deref()
                == Some(name)
        };
        found.find(|(key, _)| is_named(key)).map(|(_, value)| value.clone())
    }

    /// What stands before the first member, if that has a line of its own.
    fn indent(&self, text: &str) -> Option<String> {
        let (key, _) = self.members.first()?;
        let before = text.get(self.open + 1..key.start)?;
        let line = before.rsplit_once('\n')?.1;
        line.chars().all(|c| c == ' ' || c == '\t').then(|| line.to_owned()).filter(|line| !line.is_empty())
    }

    /// The text with another member at the end.
    fn with(&self, text: &str, member: &str, unit: &str, depth: usize) -> String {
        let outer = unit.repeat(depth);
        let place = self.members.last().map_or(self.open + 1, |(_, value)| value.end);
        let comma = if self.members.is_empty() { "" } else { "," };
        let tail = text.get(place..self.close).unwrap_or_default();
        let end = if tail.contains('\n') { tail.to_owned() } else { format!("\n{outer}") };
        let (before, after) =
            (text.get(..place).unwrap_or_default(), text.get(self.close..).unwrap_or_default());
        format!("{before}{comma}\n{outer}{unit}{member}{end}{after}")
    }
}

fn skipped(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter().position(|byte| !byte.is_ascii_whitespace()).map(|skipped| from + skipped)
}

/// Where a value ends that begins here.
fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut place = start;
    loop {
        match bytes.get(place)? {
            b'"' => {
                place = string_end(bytes, place)?;
                if depth == 0 {
                    return Some(place);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(place),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            b',' if depth == 0 => return Some(place),
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(place),
            _ => {}
        }
        place += 1;
    }
}

fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut place = start + 1;
    loop {
        match bytes.get(place)? {
            b'\\' => place += 2,
            b'"' => return Some(place + 1),
            _ => place += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> Value {
        json!({ "command": "/bin/longhaul", "args": ["mcp"] })
    }

    #[test]
    fn entry_is_put_into_a_file_of_any_layout_and_nothing_else_changes() {
        for text in [
            "",
            "{}",
            "{ }\n",
            "{\n}\n",
            "{\"a\": 1}",
            "{\n  \"a\": [1, {\"mcpServers\": {}}],\n  \"b\": \"}\\\"{\"\n}\n",
            "{\n\t\"mcpServers\": {\n\t\t\"other\": {\n\t\t\t\"command\": \"x\"\n\t\t}\n\t},\n\t\"z\": null\n}",
            "{\"mcpServers\":{}}",
            "{\"mcpServers\": {\"longhaul\": 7, \"z\": []}, \"y\": {}}",
        ] {
            let after = json(text, "mcpServers", "longhaul", &entry()).unwrap_or_else(|| panic!("{text}"));
            let found: Value = serde_json::from_str(&after).unwrap();
            assert_eq!(found["mcpServers"]["longhaul"], entry(), "{after}");
            assert_eq!(json(&after, "mcpServers", "longhaul", &entry()).as_deref(), Some(after.as_str()));
        }
    }

    #[test]
    fn layout_of_the_file_is_kept() {
        let text = "{\n\t\"z\": 1,\n\t\"mcpServers\": {\n\t\t\"b\": {}\n\t},\n\t\"a\":   2\n}\n";
        let after = json(text, "mcpServers", "longhaul", &json!({ "command": "x" })).unwrap();
        assert_eq!(
            after,
            "{\n\t\"z\": 1,\n\t\"mcpServers\": {\n\t\t\"b\": {},\n\t\t\"longhaul\": {\n\t\t\t\"command\": \
             \"x\"\n\t\t}\n\t},\n\t\"a\":   2\n}\n"
        );
        let after = json("{\n  \"a\": 1\n}\n", "mcpServers", "longhaul", &json!({ "command": "x" })).unwrap();
        let expected = "{\n  \"a\": 1,\n  \"mcpServers\": {\n    \"longhaul\": {\n      \"command\": \"x\"\n    }\n  }\n}\n";
        assert_eq!(after, expected);
    }

    #[test]
    fn what_is_no_plain_json_object_is_left_alone() {
        for text in [
            "// mine\n{}",
            "{\"a\": 1,}",
            "[]",
            "{\"mcpServers\": []}",
            "{\"mcpServers\": null}",
            "nonsense",
            "{",
        ] {
            assert_eq!(json(text, "mcpServers", "longhaul", &entry()), None, "{text}");
        }
    }

    #[test]
    fn table_is_put_into_toml_and_nothing_else_changes() {
        let entry: toml::Table = "command = \"/bin/longhaul\"\nargs = [\"mcp\"]".parse().unwrap();
        let put = |text: &str| toml(text, "mcp_servers", "longhaul", &entry);
        let text = "# mine\nmodel = \"m\"   # really\n\n[mcp_servers.other]\ncommand = \"x\"\n";
        let after = put(text).unwrap();
        assert!(after.starts_with(text), "{after}");
        assert_eq!(put(&after).as_deref(), Some(after.as_str()));
        let changed = after.replace("/bin/longhaul", "/old/longhaul") + "\n[z]\na = 1 # kept\n";
        let again = put(&changed).unwrap();
        assert!(again.contains("/bin/longhaul") && again.ends_with("\n[z]\na = 1 # kept\n"), "{again}");
        assert_eq!(
            put("").unwrap().parse::<toml::Table>().unwrap()["mcp_servers"]["longhaul"],
            entry.clone().into()
        );
    }

    #[test]
    fn toml_that_cannot_be_changed_safely_is_left_alone() {
        let entry: toml::Table = "command = \"x\"".parse().unwrap();
        for text in [
            "nonsense",
            "mcp_servers = 1",
            "mcp_servers = { longhaul = { command = \"y\" } }",
            "mcp_servers = { other = { command = \"y\" } }",
            "[mcp_servers.longhaul]\ncommand = \"y\"\n[mcp_servers.longhaul.env]\nA = \"1\"\n",
        ] {
            assert_eq!(toml(text, "mcp_servers", "longhaul", &entry), None, "{text}");
        }
    }
}
