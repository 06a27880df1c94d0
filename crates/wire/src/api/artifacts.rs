//! Artifacts: files that a command wrote and that were copied when its attempt ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Artifacts of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ArtifactsView {
    /// Id of the process.
    pub id: String,
    /// Attempt whose artifacts are listed; 0 before the first attempt.
    pub attempt: u32,
    /// State of the artifacts.
    pub state: ArtifactsState,
    /// Copied files, in the order of their paths.
    pub files: Vec<ArtifactView>,
    /// Total size of the copied files, in bytes.
    pub bytes: u64,
    /// Files that match a pattern but were not copied, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedArtifactView>,
    /// Number of further skipped files that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_skipped: u64,
    /// Patterns of the launch that match no file. Empty if the working directory was not searched completely.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
    /// Reason why this list may be incomplete, as a sentence without a final period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// State of the artifacts of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactsState {
    /// The launch named no artifacts.
    #[default]
    None,
    /// The attempt has not ended yet. The artifacts are copied when it ends.
    Pending,
    /// The artifacts were copied.
    Copied,
    /// The attempt has ended, but there is no list: its end was not observed, the copy failed, or the files of the
    /// process were deleted.
    Missing,
}

/// Copied file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ArtifactView {
    /// Path of the file relative to the working directory. Clients use this path to read the copy.
    pub path: String,
    /// Size of the copy, in bytes.
    pub bytes: u64,
    /// Time of the last change of the file, by the clock of its file system.
    pub modified_at: String,
    /// True if the last change of the file is older than the attempt, so that the attempt did not write the file.
    #[serde(skip_serializing_if = "is_false")]
    pub unchanged: bool,
    /// True if the file changed while it was copied. The copy may then mix old and new content.
    #[serde(skip_serializing_if = "is_false")]
    pub changed_while_copied: bool,
}

/// File that matches a pattern but was not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SkippedArtifactView {
    /// Path relative to the working directory.
    pub path: String,
    /// Reason: `link`, `not_a_file`, `too_large`, `too_many`, `total_too_large`, `out_of_time`, `unreadable`,
    /// `bad_path`, `foreign_link`, `disk_full` or `copy_failed`.
    pub reason: String,
    /// Explanation of the reason, for people.
    pub why: String,
    /// Size of the file in bytes, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
