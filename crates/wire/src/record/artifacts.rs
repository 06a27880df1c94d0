use super::{RecordDecodeError, is_zero};
use longhaul_domain::{
    Artifact, ArtifactList, ArtifactProblem, ArtifactSkipReason, SkippedArtifact, Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct ArtifactListRecord {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<ArtifactRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedArtifactRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    more_skipped: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ArtifactRecord {
    path: String,
    bytes: u64,
    modified_at: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    unchanged: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    changed_while_copied: bool,
}

#[derive(Serialize, Deserialize)]
struct SkippedArtifactRecord {
    path: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl From<&ArtifactList> for ArtifactListRecord {
    fn from(list: &ArtifactList) -> Self {
        Self {
            files: list.files.iter().map(Into::into).collect(),
            skipped: list.skipped.iter().map(Into::into).collect(),
            more_skipped: list.more_skipped,
            unmatched: list.unmatched.clone(),
            problem: list.problem.map(|problem| problem.name().to_owned()),
        }
    }
}

impl TryFrom<ArtifactListRecord> for ArtifactList {
    type Error = RecordDecodeError;

    fn try_from(record: ArtifactListRecord) -> Result<Self, RecordDecodeError> {
        let problem = record.problem.map(|name| {
            let known = ArtifactProblem::ALL.into_iter().find(|problem| problem.name() == name);
            known.ok_or_else(|| RecordDecodeError::damaged("the artifact list names an unknown problem"))
        });
        Ok(Self {
            files: record.files.into_iter().map(Into::into).collect(),
            skipped: record.skipped.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            more_skipped: record.more_skipped,
            unmatched: record.unmatched,
            problem: problem.transpose()?,
        })
    }
}

impl From<&Artifact> for ArtifactRecord {
    fn from(file: &Artifact) -> Self {
        Self {
            path: file.path.clone(),
            bytes: file.bytes,
            modified_at: file.modified_at.0,
            unchanged: file.is_unchanged,
            changed_while_copied: file.has_changed_during_copy,
        }
    }
}

impl From<ArtifactRecord> for Artifact {
    fn from(record: ArtifactRecord) -> Self {
        Self {
            path: record.path,
            bytes: record.bytes,
            modified_at: Timestamp(record.modified_at),
            is_unchanged: record.unchanged,
            has_changed_during_copy: record.changed_while_copied,
        }
    }
}

impl From<&SkippedArtifact> for SkippedArtifactRecord {
    fn from(file: &SkippedArtifact) -> Self {
        Self { path: file.path.clone(), reason: file.reason.name().to_owned(), bytes: file.bytes }
    }
}

impl TryFrom<SkippedArtifactRecord> for SkippedArtifact {
    type Error = RecordDecodeError;

    fn try_from(record: SkippedArtifactRecord) -> Result<Self, RecordDecodeError> {
        let reason = ArtifactSkipReason::ALL.into_iter().find(|reason| reason.name() == record.reason);
        let unknown = || RecordDecodeError::damaged("the artifact list names an unknown reason");
        Ok(Self { path: record.path, reason: reason.ok_or_else(unknown)?, bytes: record.bytes })
    }
}
