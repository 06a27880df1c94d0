//! What the entry of longhaul is to say, and what of an entry that is there already is not ours to change.

use serde_json::{Map, Value};

/// Members that mean a server somewhere else, which is asked over a network.
const ELSEWHERE: [&str; 3] = ["url", "httpUrl", "serverUrl"];

/// What an entry is to say, in the order in which it is written.
#[derive(Clone, Debug)]
pub(super) struct DesiredEntry(pub(super) Vec<EntryMember>);

/// A member of an entry.
#[derive(Clone, Debug)]
pub(super) struct EntryMember {
    pub(super) key: &'static str,
    /// A text, a truth value, or an array of texts.
    pub(super) value: Value,
    pub(super) rule: MergeRule,
}

/// What becomes of a member that says something else already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergeRule {
    /// It is changed.
    Ours,
    /// It stays: the user may have had a reason.
    Offered,
    /// The entry is of another kind, and not ours to change.
    Kind,
}

/// A text with the entry in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EditedConfig {
    pub(super) text: String,
    /// Whether the entry was switched off by the user, and still is.
    pub(super) is_off: bool,
}

/// Why a text cannot be changed without changing more of it than one entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EditError {
    #[error("it is not plain JSON (comments and trailing commas are not supported): {error}")]
    Json { error: String },
    #[error("it is not valid TOML: {error}")]
    Toml { error: String },
    #[error("{place} is no {wanted}")]
    Shape { place: String, wanted: &'static str },
    #[error("its entry longhaul has another kind: it contains {key}")]
    Elsewhere { key: &'static str },
    #[error("this program cannot change its format")]
    Layout,
}

impl DesiredEntry {
    /// Gives the members that an entry lacks or says otherwise.
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

/// Whether an entry is switched off.
pub(super) fn is_off(found: &Map<String, Value>) -> bool {
    found.get("disabled") == Some(&Value::Bool(true)) || found.get("enabled") == Some(&Value::Bool(false))
}

/// How lines of a text end.
pub(super) fn newline(text: &str) -> &'static str {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    if first.ends_with("\r\n") { "\r\n" } else { "\n" }
}

/// A text without the mark that some editors begin files with, and that mark.
pub(super) fn without_mark(text: &str) -> (&'static str, &str) {
    text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest))
}
