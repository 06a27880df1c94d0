//! Visits with programs that write too much output, or invalid output.

use super::Visit;
use crate::cell::Cell;
use crate::creature::{Creature, end};
use longhaul_tests::{stat, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) const VISITS: &[(&str, Visit)] = &[
    ("floods its output", floods),
    ("floods both outputs", floods_both),
    ("one long line", long_line),
    ("zero bytes", nulls),
    ("invalid text", invalid_text),
    ("reports invalid progress", lies),
];

const HEAD: u64 = 64 << 10;
const TAIL: u64 = 1 << 20;
/// Step, in bytes, in which disk space of old output is freed. The index and the file system need space in addition to
/// the output.
const SEGMENT: u64 = 1 << 20;
const BESIDE: u64 = 512 << 10;
/// Maximum memory of a shim in kilobytes. It does not depend on the amount of output.
const SUPERVISOR: u64 = 6 << 10;

fn floods(cell: &Cell) {
    is_bounded(&cell.show(&["floods"], &bound()));
}

fn floods_both(cell: &Cell) {
    is_bounded(&cell.show(&["floods-both"], &bound()));
}

/// Runs a program that writes one line of 8 MiB, or of the size in `LONGHAUL_ZOO_LONG_LINE` (in MiB).
fn long_line(cell: &Cell) {
    let megabytes = std::env::var("LONGHAUL_ZOO_LONG_LINE").unwrap_or_else(|_| "8".to_owned());
    let creature = cell.show(&["long-line", &megabytes], &Value::Null);
    let view = creature.ends();
    assert_eq!(end(&view), ("completed", Some(0), None, None, None), "{view}");
    let size = megabytes.parse::<u64>().unwrap() << 20;
    assert_eq!(
        (view["output_bytes"].as_u64(), &view["exit"]["dropped_bytes"]),
        (Some(size), &json!(0)),
        "{view}"
    );
    let text = format!("/v1/processes/{}/text?max_tokens=500", creature.id);
    let page = cell.keeper.must("GET", &text, &Value::Null).to_string();
    assert!(page.len() < 20_000, "a page of {} bytes", page.len());
}

fn nulls(cell: &Cell) {
    let creature = cell.show(&["nulls"], &Value::Null);
    creature.ends();
    assert_eq!(creature.output(), [b"begin".as_slice(), &[0; 1_000], b"end"].concat());
    page(cell, &creature);
}

fn invalid_text(cell: &Cell) {
    let creature = cell.show(&["invalid-text"], &Value::Null);
    creature.ends();
    assert_eq!(creature.output(), (0..=u8::MAX).rev().collect::<Vec<u8>>());
    page(cell, &creature);
}

fn lies(cell: &Cell) {
    let creature = cell.show(&["lies"], &Value::Null);
    let view = creature.ends();
    assert_eq!(end(&view), ("completed", Some(0), None, None, None), "{view}");
    let progress = view["progress"].as_f64();
    assert!(progress.is_none_or(|progress| (0.0..=100.0).contains(&progress)), "{view}");
    let page = page(cell, &creature);
    assert!(!page.contains("\\u001b]0;"), "{page}");
}

/// Checks that the stored output stays within its limit, that the command is not blocked, and that its shim uses little
/// memory.
fn is_bounded(creature: &Creature) {
    creature.until_ready();
    let written = || creature.view()["output_bytes"].as_u64().filter(|bytes| *bytes > 8 * (HEAD + TAIL));
    until("the program has written eight times the limit", written);
    let view = creature.runs();
    let directory = Path::new(view["log_path"].as_str().unwrap()).parent().unwrap();
    for _ in 0..20 {
        let kept = room(directory);
        assert!(kept <= HEAD + TAIL + SEGMENT + BESIDE, "{kept} bytes are stored");
    }
    let supervisor = stat(u32::try_from(view["pid"].as_u64().unwrap()).unwrap()).unwrap().parent;
    let status = fs::read_to_string(format!("/proc/{supervisor}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let memory: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(memory < SUPERVISOR, "its shim grew to {memory} kB");
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn bound() -> Value {
    json!({"output": {"head": HEAD, "tail": TAIL}})
}

/// Returns the disk space that the files in a directory use, in bytes.
fn room(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.blocks() * 512)).sum()
}

fn page(cell: &Cell, creature: &Creature) -> String {
    let text = format!("/v1/processes/{}/text?max_tokens=2000", creature.id);
    cell.keeper.must("GET", &text, &Value::Null).to_string()
}
