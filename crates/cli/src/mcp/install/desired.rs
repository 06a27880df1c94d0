//! Desired content of the longhaul entry, and rules for merging this content into an existing entry.

use serde_json::{Map, Value};

/// Names of the members that mark an entry as a remote server, which an agent reaches over a network.
const ELSEWHERE: [&str; 3] = ["url", "httpUrl", "serverUrl"];

/// Desired members of the longhaul entry, in the order in which they are written.
#[derive(Clone, Debug)]
pub(super) struct DesiredEntry(pub(super) Vec<EntryMember>);

/// Desired member of the longhaul entry.
#[derive(Clone, Debug)]
pub(super) struct EntryMember {
    pub(super) key: &'static str,
    /// Value of the member: a string, a boolean or an array of strings.
    pub(super) value: Value,
    pub(super) rule: MergeRule,
}

/// Rule that applies if the member already exists with a different value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergeRule {
    /// Overwrite the value.
    Ours,
    /// Leave the value unchanged, because the user may have set it deliberately.
    Offered,
    /// Refuse the change, because a different value means that the entry is of another kind and belongs to the user.
    Kind,
}

/// Configuration text with the entry inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EditedConfig {
    pub(super) text: String,
    /// True if the user has disabled the entry. The edit leaves the entry disabled.
    pub(super) is_off: bool,
}

/// Reason why the entry cannot be inserted without changes to other parts of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EditError {
    #[error("the file is not plain JSON (comments and trailing commas are not supported): {error}")]
    Json { error: String },
    #[error("the file is not valid TOML: {error}")]
    Toml { error: String },
    #[error("{place} is not of the type {wanted}")]
    Shape { place: String, wanted: &'static str },
    #[error("the entry `longhaul` is of another kind: it contains {key}")]
    Elsewhere { key: &'static str },
    #[error("this program cannot edit files of this format")]
    Layout,
}

impl DesiredEntry {
    /// Returns the members that must be added to the existing entry or overwritten in it.
    pub(super) fn changes(&self, found: &Map<String, Value>) -> Result<Vec<&EntryMember>, EditError> {
        if let Some(key) = ELSEWHERE.into_iter().find(|key| found.contains_key(*key)) {
            return Err(EditError::Elsewhere { key });
        }
        let mut changes = Vec::new();
        for member in &self.0 {
            match (found.get(member.key), member.rule) {
                (Some(value), _) if *value == member.value => {}
                (Some(_), MergeRule::Offered) => {}
                (Some(_), MergeRule::Kind) => return Err(EditError::Elsewhere { key: member.key }),
                (Some(_), MergeRule::Ours)
                | (None, MergeRule::Ours | MergeRule::Offered | MergeRule::Kind) => changes.push(member),
            }
        }
        Ok(changes)
    }
}

/// Returns true if the user has disabled the entry.
pub(super) fn is_off(found: &Map<String, Value>) -> bool {
    found.get("disabled") == Some(&Value::Bool(true)) || found.get("enabled") == Some(&Value::Bool(false))
}

/// Returns the line ending that the text uses.
pub(super) fn newline(text: &str) -> &'static str {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    if first.ends_with("\r\n") { "\r\n" } else { "\n" }
}

/// Splits the text into its leading byte order mark, which may be missing, and the text after it.
pub(super) fn without_mark(text: &str) -> (&'static str, &str) {
    text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest))
}
