//! Checks that the parser reads the progress in captured output of common programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use longhaul_insight::failure::Stream;
use longhaul_insight::progress::{ProgressParser, ProgressUpdate};
use std::fmt::Write as _;
use std::path::PathBuf;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/progress")
}

fn updates(output: &[u8], piece: usize) -> Vec<ProgressUpdate> {
    let mut parser = ProgressParser::auto();
    let mut updates: Vec<ProgressUpdate> =
        output.chunks(piece).filter_map(|bytes| parser.push(Stream::Stdout, bytes)).collect();
    updates.extend(parser.quiet());
    updates
}

fn captured() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Compares the progress that the parser reads with `expected.tsv`. With `UPDATE_GOLDEN=1`, writes the file again.
#[test]
fn progress_of_common_programs_is_read() {
    let mut found = String::from("file\tvalues\tfirst\tlast\tphases\n");
    for (name, output) in captured() {
        // If the bytes arrive one at a time, no update is merged with a later update.
        let updates = updates(&output, 1);
        let mut values: Vec<u64> = Vec::new();
        for update in &updates {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 100")]
            let percent = update.percent.round() as u64;
            if values.last() != Some(&percent) {
                values.push(percent);
            }
        }
        let phases =
            updates.iter().filter(|update| update.is_new_phase).count() + usize::from(!updates.is_empty());
        let end = |value: Option<&u64>| value.map_or_else(|| "-".to_owned(), ToString::to_string);
        writeln!(
            found,
            "{name}\t{}\t{}\t{}\t{phases}",
            values.len(),
            end(values.first()),
            end(values.last())
        )
        .unwrap();
    }
    let path = fixtures().join("expected.tsv");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), found, "run with UPDATE_GOLDEN=1 after a change");
}

#[test]
fn progress_decreases_only_with_a_new_phase_in_every_capture() {
    for (name, output) in captured() {
        let mut before = 0.0;
        for update in updates(&output, 1) {
            assert!(update.percent >= before || update.is_new_phase, "{name}: {before} {update:?}");
            assert!((0.0..=100.0).contains(&update.percent), "{name}: {update:?}");
            before = update.percent;
        }
    }
}

#[test]
fn last_progress_does_not_depend_on_the_pieces() {
    for (name, output) in captured() {
        let last = |piece| updates(&output, piece).last().map(|update| update.percent);
        assert_eq!(last(1), last(7), "{name}");
        assert_eq!(last(1), last(output.len().max(1)), "{name}");
    }
}
