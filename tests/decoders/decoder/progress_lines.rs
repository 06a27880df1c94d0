//! Reads the lines of JSON that a command writes about its progress. The result must not depend on how the lines are
//! split into chunks.

use super::Verdict;
use longhaul_insight::progress::{ProgressLine, ProgressLines};
use std::time::Duration;

/// Maximum remaining time that is accepted from a line.
const MAX_ETA: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let (start, rest) = bytes.split_at(bytes.len() / 2);
    let whole = read(&[bytes]);
    assert_eq!(read(&[start, rest]), whole, "the progress depends on how the lines are split");
    let single: Vec<&[u8]> = bytes.chunks(1).take(4_096).collect();
    let first = bytes.get(..single.len()).unwrap_or(bytes);
    assert_eq!(read(&single), read(&[first]), "the progress of single bytes differs");
    let mut lines = ProgressLines::default();
    check(lines.push(start).as_ref());
    lines.interrupt();
    check(lines.push(rest).as_ref());
    check(whole.0.as_ref());
    whole.0.map(drop).ok_or_else(|| "no line states progress".to_owned())
}

/// Returns the progress that results from all lines together, and the number of ignored lines.
fn read(chunks: &[&[u8]]) -> (Option<ProgressLine>, u64) {
    let mut lines = ProgressLines::default();
    let mut latest: Option<ProgressLine> = None;
    for chunk in chunks {
        if let Some(line) = lines.push(chunk) {
            latest.get_or_insert_default().merge(line);
        }
    }
    (latest, lines.ignored())
}

fn check(line: Option<&ProgressLine>) {
    let Some(line) = line else { return };
    assert!(line.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)), "{line:?}");
    assert!(line.eta.is_none_or(|eta| eta <= MAX_ETA), "{line:?}");
    assert_ne!(*line, ProgressLine::default(), "an empty line counts as progress");
}
