//! Visits with programs that ignore requests, and with programs that have tight limits.

use super::Visit;
use crate::cell::Cell;
use crate::creature::{Creature, end, hasty};
use longhaul_tests::{stat, until};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

pub(crate) const VISITS: &[(&str, Visit)] = &[
    ("ignores TERM", ignores_term),
    ("ignores all", ignores_all),
    ("ends on request", obeys),
    ("halts itself", stops_itself),
    ("paused, then cancelled", paused_then_cancelled),
    ("longer than its timeout", over_its_time),
    ("closes all", closes_all),
    ("inherits nothing", inherits),
    ("wants a terminal", wants_terminal),
    ("never reads", never_reads),
    ("loses its directory", loses_directory),
    ("takes its limits away", lowers_limits),
    ("writes too large a file", over_file_size),
    ("ends at once", instant),
];

fn ignores_term(cell: &Cell) {
    let view = cell.show(&["ignores-term"], &hasty()).cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(9), Some("user"), Some(9)), "{view}");
}

fn ignores_all(cell: &Cell) {
    let view = cell.show(&["ignores-all"], &hasty()).cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(9), Some("user"), Some(9)), "{view}");
}

fn obeys(cell: &Cell) {
    let view = cell.show(&["obeys"], &Value::Null).cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn stops_itself(cell: &Cell) {
    let creature = cell.show(&["stops-itself"], &Value::Null);
    let pid = creature.pid();
    until("the process is stopped", || (stat(pid)?.state == 'T').then_some(()));
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn paused_then_cancelled(cell: &Cell) {
    let creature = cell.show(&["counts"], &Value::Null);
    creature.until_ready();
    let counts = |creature: &Creature| {
        ["count", "count1", "count2"]
            .map(|each| fs::read_to_string(creature.census.beside(each)).unwrap_or_default())
    };
    creature.runs();
    until("all count", || counts(&creature).iter().all(|count| !count.is_empty()).then_some(()));
    assert_eq!(creature.order("pause", &json!({}))["process"]["status"], "paused");
    let before = counts(&creature);
    // Wait for a fixed time, because the test checks that an event does not happen.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(counts(&creature), before, "the process continued to count while it was paused");
    let view = creature.cancelled_as_it_is();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn over_its_time(cell: &Cell) {
    let creature = cell.show(&["ignores-term"], &json!({"timeout_ms": 200, "grace_ms": 300}));
    let view = creature.ends();
    assert_eq!(end(&view), ("timeout", None, Some(9), Some("timeout"), Some(9)), "{view}");
}

fn closes_all(cell: &Cell) {
    let creature = cell.show(&["closes-all"], &Value::Null);
    creature.until_ready();
    creature.runs();
    creature.let_go();
    let view = creature.ends();
    assert_eq!(end(&view), ("failed", Some(5), None, None, None), "{view}");
}

fn inherits(cell: &Cell) {
    for more in [Value::Null, json!({"stdin_pipe": true})] {
        let view = cell.show(&["inherits"], &more).ends();
        assert_eq!(end(&view), ("completed", Some(0), None, None, None), "{view}");
    }
}

fn wants_terminal(cell: &Cell) {
    let view = cell.show(&["wants-terminal"], &Value::Null).ends();
    assert_eq!(end(&view), ("failed", Some(6), None, None, None), "{view}");
}

fn never_reads(cell: &Cell) {
    let creature = cell.show(&["never-reads"], &json!({"stdin_pipe": true}));
    creature.until_ready();
    creature.runs();
    let text = "x".repeat(60_000);
    let mut taken = 0;
    // A pipe holds only 64 KiB. A request to send more than that must be answered too.
    for _ in 0..3 {
        let answer = creature.order("input", &json!({"text": text}));
        taken += answer["bytes"].as_u64().unwrap();
    }
    assert!(taken < 3 * 60_000, "the process read {taken} bytes");
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn loses_directory(cell: &Cell) {
    let lost = cell.own_directory("lost");
    let creature = cell.show(&["loses-directory"], &json!({"directory": lost}));
    let view = creature.cancelled();
    assert!(!lost.exists());
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
    // No other command can start in the removed directory, and its error must say so.
    let view = cell.show(&["obeys"], &json!({"directory": lost})).ended();
    assert_eq!(
        (&view["status"], &view["start_failure"]["stage"]),
        (&json!("failed"), &json!("directory")),
        "{view}"
    );
}

fn lowers_limits(cell: &Cell) {
    let creature = cell.show(&["lowers-limits"], &Value::Null);
    until("the process continues", || creature.output().starts_with(b"still here").then_some(()));
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn over_file_size(cell: &Cell) {
    let view = cell.show(&["over-file-size"], &Value::Null).ends();
    assert_eq!(end(&view), ("failed", None, Some(25), None, None), "{view}");
    assert_eq!(view["exit"]["limit"], "file_size", "{view}");
}

fn instant(cell: &Cell) {
    let all: Vec<Creature> = (0..20).map(|_| cell.show(&["instant"], &Value::Null)).collect();
    for creature in all {
        let view = creature.ended();
        assert_eq!(end(&view), ("failed", Some(7), None, None, None), "{view}");
    }
}
