//! Result of `read_artifacts`.

use crate::answer::JsonObject;
use crate::schema;
use longhaul_wire::api::ArtifactsState;
use serde::Serialize;

/// Result of `read_artifacts`: the list of artifacts, or a part of one artifact.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ArtifactsResult {
    pub(crate) process_id: String,
    /// State of the artifacts. In the state pending, the attempt has not ended yet and no file has been copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<ArtifactsState>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<ArtifactFile>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) skipped: Vec<SkippedFile>,
    /// Patterns that match no file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unmatched: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// Number of entries that were left out, because the result would otherwise exceed its size limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) omitted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// True if the file is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binary: Option<bool>,
    /// Offset for the next call; absent at the end of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_offset: Option<u64>,
}

/// Copied file.
#[derive(Debug, Serialize)]
pub(crate) struct ArtifactFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// True if the file is older than the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unchanged: Option<bool>,
    /// True if the copy may mix old and new content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changed_while_copied: Option<bool>,
}

/// File that was not copied.
#[derive(Debug, Serialize)]
pub(crate) struct SkippedFile {
    pub(crate) path: String,
    pub(crate) why: String,
}

/// Fields that the schema names. The schema is short, because each conversation of an agent pays for it in tokens.
const FIELDS: &[&str] = &["state", "files", "skipped", "text", "next_offset"];

/// Returns the schema of the result of `read_artifacts`.
pub(crate) fn artifacts_schema() -> JsonObject {
    schema::of_untyped(FIELDS)
}
