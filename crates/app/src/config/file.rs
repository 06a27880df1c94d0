//! Reads the values of a configuration file.

use crate::config::error::ConfigError;
use crate::config::key::SLOTS;
use crate::config::kind::RawConfigValue;
use std::io::ErrorKind;
use std::path::Path;
use toml::de::{DeArray, DeTable, DeValue};

/// A key and its value in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileValue {
    /// Full name of the key, with dots between table names.
    pub(super) key: String,
    /// Pattern of concurrency keys that the value applies to, if the value is in the table `keys.limit`.
    pub(super) pattern: Option<String>,
    pub(super) raw: RawConfigValue,
    /// Line number, starting at 1.
    pub(super) line: usize,
}

/// Returns all values of a file in the order of their lines. Returns `None` if the file does not exist.
pub(super) fn entries(path: &Path) -> Result<Option<Vec<FileValue>>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text).map(Some),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Returns all values of the text of a configuration file in the order of their lines.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<FileValue>, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        why: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    collect(text, "", table.get_ref(), &mut entries);
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn collect(text: &str, above: &str, table: &DeTable<'_>, entries: &mut Vec<FileValue>) {
    for (name, value) in table {
        let line = line_of(text, name.span().start);
        let name = name.get_ref();
        let key = if above.is_empty() { name.to_string() } else { format!("{above}.{name}") };
        match value.get_ref() {
            DeValue::Table(inner) if above != SLOTS => collect(text, &key, inner, entries),
            other @ (DeValue::Table(_)
            | DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)) => {
                // A pattern may contain dots, so it is stored separately from the key.
                let (key, pattern) =
                    if above == SLOTS { (SLOTS.to_owned(), Some(name.to_string())) } else { (key, None) };
                entries.push(FileValue { key, pattern, raw: raw(other), line });
            }
        }
    }
}

fn raw(value: &DeValue<'_>) -> RawConfigValue {
    match value {
        DeValue::String(text) => RawConfigValue::Text(text.to_string()),
        DeValue::Integer(number) => RawConfigValue::Number(number.to_string()),
        DeValue::Boolean(flag) => RawConfigValue::Flag(*flag),
        DeValue::Float(_) => RawConfigValue::Other("a number with a fraction"),
        DeValue::Datetime(_) => RawConfigValue::Other("a date"),
        DeValue::Array(items) => match (texts(items), lists(items)) {
            (Some(texts), _) => RawConfigValue::List(texts),
            (None, Some(lists)) => RawConfigValue::Lists(lists),
            (None, None) => RawConfigValue::Other("a list with items that are not strings"),
        },
        DeValue::Table(_) => RawConfigValue::Other("a table"),
    }
}

/// Returns the items of a list if all of them are strings.
fn texts(items: &DeArray<'_>) -> Option<Vec<String>> {
    let texts = items.iter().map(|item| match item.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(_)
        | DeValue::Boolean(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    });
    texts.collect()
}

/// Returns the items of a list if all of them are lists of strings.
fn lists(items: &DeArray<'_>) -> Option<Vec<Vec<String>>> {
    let lists = items.iter().map(|item| match item.get_ref() {
        DeValue::Array(items) => texts(items),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Boolean(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => None,
    });
    lists.collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_carry_their_line_and_patterns_may_hold_dots() {
        let text = "store = \"memory\"\n[limits]\nmax_parallel = 3\n[keys.limit]\n\"gpt-4.1*\" = 2\n";
        let entries = parse(Path::new("x"), text).unwrap();
        let seen: Vec<_> =
            entries.iter().map(|entry| (entry.key.as_str(), entry.pattern.as_deref(), entry.line)).collect();
        assert_eq!(
            seen,
            [("store", None, 1), ("limits.max_parallel", None, 3), ("keys.limit", Some("gpt-4.1*"), 5),]
        );
    }

    #[test]
    fn broken_file_names_the_line() {
        let Err(ConfigError::Syntax { line, .. }) = parse(Path::new("x"), "a = 1\nb = = 2\n") else {
            panic!("it was read");
        };
        assert_eq!(line, 2);
    }
}
