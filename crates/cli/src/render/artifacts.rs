//! Formats artifacts as a table with notes.

use super::amount::bytes;
use super::grid::{Align, grid};
use super::moment::RenderTime;
use super::table::TableFormat;
use longhaul_view::clean_label;
use longhaul_wire::api::{ArtifactsState, ArtifactsView};

const HEADS: [(&str, Align); 3] = [("PATH", Align::Left), ("SIZE", Align::Right), ("MODIFIED", Align::Left)];
/// Maximum number of skipped files that are named.
const MAX_SKIPPED: usize = 20;

/// Formats the list of copied files.
pub(crate) fn artifacts(view: &ArtifactsView, look: TableFormat, now: RenderTime) -> String {
    let rows = view.files.iter().map(|file| {
        let at = &file.modified_at;
        let when = if look.face.terminal { now.ago(at) } else { clean_label(at).into_owned() };
        let size = if look.face.terminal { bytes(file.bytes) } else { file.bytes.to_string() };
        let when = if file.unchanged { format!("{when} (before the attempt)") } else { when };
        let when =
            if file.changed_while_copied { format!("{when} (changed while it was copied)") } else { when };
        vec![clean_label(&file.path).into_owned(), size, when]
    });
    grid(&HEADS, &rows.collect::<Vec<_>>(), look)
}

/// Returns the notes about an artifact list, one line each: its state, skipped files, and patterns without a file.
pub(crate) fn artifact_notes(view: &ArtifactsView) -> Vec<String> {
    let mut notes = Vec::new();
    match view.state {
        ArtifactsState::None => notes.push(
            "no artifacts: the launch gave no patterns; `longhaul run --artifact PATTERN` keeps files".to_owned(),
        ),
        ArtifactsState::Pending => {
            notes.push("the artifacts are copied when the attempt ends".to_owned());
        }
        ArtifactsState::Missing => notes.push(
            "the artifacts of this attempt are missing: its end was not observed, copying failed, or they were deleted"
                .to_owned(),
        ),
        ArtifactsState::Copied => {}
    }
    notes.extend(view.problem.as_ref().map(|problem| format!("incomplete: {}", clean_label(problem))));
    for file in view.skipped.iter().take(MAX_SKIPPED) {
        let size = file.bytes.map(|size| format!(" ({})", bytes(size))).unwrap_or_default();
        notes.push(format!("skipped {}{size}: {}", clean_label(&file.path), clean_label(&file.why)));
    }
    let unnamed = view.skipped.len().saturating_sub(MAX_SKIPPED);
    let more = view.more_skipped.saturating_add(u64::try_from(unnamed).unwrap_or(u64::MAX));
    if more > 0 {
        notes.push(format!("skipped {more} more"));
    }
    notes.extend(view.unmatched.iter().map(|pattern| format!("no file matches {}", clean_label(pattern))));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleStream;
    use longhaul_wire::api::{ArtifactView, SkippedArtifactView};

    #[test]
    fn artifacts_are_shown_with_their_size_and_marked_if_older_than_the_attempt() {
        let file = |path: &str, unchanged| ArtifactView {
            path: path.to_owned(),
            bytes: 2048,
            modified_at: "2026-11-21T01:49:55.000Z".to_owned(),
            unchanged,
            changed_while_copied: unchanged,
        };
        let view = ArtifactsView {
            state: ArtifactsState::Copied,
            files: vec![file("a.xml", false), file("old\u{1b}[2J", true)],
            ..ArtifactsView::default()
        };
        let look = |terminal| TableFormat {
            face: ConsoleStream { terminal, colour: false },
            wide: false,
            unicode: true,
            width: 120,
        };
        let now = RenderTime::parse("2026-11-21T01:50:00.000Z", true);
        let table = artifacts(&view, look(true), now);
        assert!(table.contains("2 KiB  5s ago\n"), "{table}");
        let marked = "5s ago (before the attempt) (changed while it was copied)";
        assert!(table.contains(marked) && !table.contains('\u{1b}'), "{table}");
        let plain = artifacts(&view, look(false), now);
        assert!(plain.contains("a.xml\t2048\t2026-11-21T01:49:55.000Z\n"), "{plain}");
    }

    #[test]
    fn each_skipped_file_and_each_unmatched_pattern_has_a_note() {
        let skipped = |number: usize| SkippedArtifactView {
            path: format!("f{number}"),
            reason: "too_large".to_owned(),
            why: "it is larger than artifacts.max_file_bytes".to_owned(),
            bytes: Some(1 << 30),
        };
        let view = ArtifactsView {
            state: ArtifactsState::Copied,
            skipped: (0..25).map(skipped).collect(),
            more_skipped: 3,
            unmatched: vec!["*.log".to_owned()],
            problem: Some("the search stopped".to_owned()),
            ..ArtifactsView::default()
        };
        let notes = artifact_notes(&view);
        assert_eq!(notes[0], "incomplete: the search stopped");
        assert_eq!(notes[1], "skipped f0 (1 GiB): it is larger than artifacts.max_file_bytes");
        assert_eq!(notes[21..], ["skipped 8 more", "no file matches *.log"]);
        let none = artifact_notes(&ArtifactsView::default());
        assert!(none[0].contains("--artifact"), "{none:?}");
    }
}
