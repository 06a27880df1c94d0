//! Converts the artifact patterns of a launch, and lists of artifacts.

use crate::convert::moment::rfc3339;
use crate::error::ApiError;
use longhaul_domain::{ArtifactList, ArtifactPattern, ArtifactProblem, ArtifactSkipReason};
use longhaul_wire::api::{ArtifactView, ArtifactsView, SkippedArtifactView};

/// Maximum number of artifact patterns of a command.
const MAX_PATTERNS: usize = 64;

/// Converts the artifact patterns of a launch.
pub(super) fn patterns(request: &[String]) -> Result<Vec<ArtifactPattern>, ApiError> {
    if request.len() > MAX_PATTERNS {
        let why = format!("there are {} patterns; the maximum is {MAX_PATTERNS}", request.len());
        return Err(ApiError::invalid("artifacts", why).help("use wildcards, or name a directory"));
    }
    let pattern = |text: &String| {
        ArtifactPattern::new(text)
            .map_err(|error| ApiError::invalid("artifacts", format!("{text:?}: {}", error.why)))
    };
    request.iter().map(pattern).collect()
}

/// Adds an artifact list to a view.
pub(crate) fn add_artifacts(view: &mut ArtifactsView, list: ArtifactList) {
    view.bytes = list.bytes();
    view.files = list
        .files
        .into_iter()
        .map(|file| ArtifactView {
            path: file.path,
            bytes: file.bytes,
            modified_at: rfc3339(file.modified_at),
            unchanged: file.is_unchanged,
            changed_while_copied: file.has_changed_during_copy,
        })
        .collect();
    view.skipped = list
        .skipped
        .into_iter()
        .map(|file| SkippedArtifactView {
            path: file.path,
            reason: file.reason.name().to_owned(),
            why: explanation(file.reason).to_owned(),
            bytes: file.bytes,
        })
        .collect();
    view.more_skipped = list.more_skipped;
    view.unmatched = list.unmatched;
    view.problem = list.problem.map(|problem| problem_text(problem).to_owned());
}

const fn explanation(reason: ArtifactSkipReason) -> &'static str {
    match reason {
        ArtifactSkipReason::Link => "symbolic links are not followed",
        ArtifactSkipReason::NotAFile => "it is a pipe, a socket or a device",
        ArtifactSkipReason::TooLarge => "it is larger than artifacts.max_file_bytes",
        ArtifactSkipReason::TooMany => "there are more files than artifacts.max_files",
        ArtifactSkipReason::TotalTooLarge => {
            "all artifacts together would be larger than artifacts.max_bytes"
        }
        ArtifactSkipReason::OutOfTime => "copying took longer than artifacts.timeout",
        ArtifactSkipReason::Unreadable => "it cannot be read",
        ArtifactSkipReason::BadPath => "its path is too long, too deep or not valid UTF-8",
        ArtifactSkipReason::ForeignLink => "it is a hard link to a file of another user",
        ArtifactSkipReason::DiskFull => "the disk of the state directory is full",
        ArtifactSkipReason::CopyFailed => "its copy could not be written",
    }
}

const fn problem_text(problem: ArtifactProblem) -> &'static str {
    match problem {
        ArtifactProblem::DirectoryMissing => {
            "the working directory could not be opened when the attempt ended"
        }
        ArtifactProblem::DirectoryReplaced => {
            "the working directory was replaced by another directory during the attempt"
        }
        ArtifactProblem::OutOfTime => {
            "the search for files took longer than artifacts.timeout; narrower patterns are faster"
        }
        ArtifactProblem::TooManyMatches => "the search stopped at 10,000 matching files",
    }
}
