//! Visits with programs that kill processes, including themselves.

use super::Visit;
use crate::cell::Cell;
use crate::creature::{Creature, end};
use longhaul_tests::{is_alive, kill, stat, until};
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

pub(crate) const VISITS: &[(&str, Visit)] = &[
    ("stops its shim", stops_supervisor),
    ("kills its shim and continues", outlives_supervisor),
    ("kills its shim and is cancelled", kills_supervisor),
    ("dies with its shim", dies_with_supervisor),
    ("kills its group", kills_group),
    ("dies by every signal", dies_by),
    ("leaves a core", dumps_core),
    ("is killed from outside", killed_from_outside),
];

/// Signals that kill a process by default. Two of them have no name.
const DEADLY: [i64; 25] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 64];
/// Signals that do not kill a process by default.
const HARMLESS: [i64; 4] = [17, 18, 23, 28];

fn dies_by(cell: &Cell) {
    let show = |signal: &i64| (*signal, cell.show(&["dies-by", &signal.to_string()], &Value::Null));
    let dying: Vec<(i64, Creature)> = DEADLY.iter().map(show).collect();
    let living: Vec<(i64, Creature)> = HARMLESS.iter().map(show).collect();
    for (signal, creature) in dying {
        let view = creature.ends();
        assert_eq!(end(&view), ("failed", None, Some(signal), None, None), "signal {signal}: {view}");
        let reason = view["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("signal {signal}")), "{view}");
    }
    for (signal, creature) in living {
        let view = creature.ends();
        assert_eq!(end(&view), ("failed", Some(98), None, None, None), "signal {signal}: {view}");
    }
}

fn dumps_core(cell: &Cell) {
    let directory = cell.own_directory("core");
    let creature = cell.show(&["dumps-core"], &serde_json::json!({"directory": directory}));
    let view = creature.ends();
    assert_eq!(end(&view), ("failed", None, Some(6), None, None), "{view}");
    // Run the same program without longhaul to find out whether a core dump is expected, because that depends on the
    // machine.
    let own = tempfile::tempdir().unwrap();
    let mut alone = Command::new(cell.program("zoo"));
    alone.arg("dumps-core").env("ZOO_CENSUS", own.path().join("census")).current_dir(own.path());
    let status = alone.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert_eq!(view["exit"]["core"], status.core_dumped(), "{view}");
}

fn kills_group(cell: &Cell) {
    let view = cell.show(&["kills-group"], &Value::Null).ends();
    assert_eq!(end(&view), ("failed", None, Some(9), None, None), "{view}");
}

/// A process that another program kills must be reported as killed by that signal.
fn killed_from_outside(cell: &Cell) {
    let creature = cell.show(&["obeys"], &Value::Null);
    creature.until_ready();
    kill("-KILL", creature.pid());
    let view = creature.ends();
    assert_eq!(end(&view), ("failed", None, Some(9), None, None), "{view}");
    assert_eq!(view["exit"]["limit"], Value::Null, "{view}");
}

/// After the death of the shim, the manager takes over and reports the real exit code.
fn outlives_supervisor(cell: &Cell) {
    let creature = cell.show(&["kills-supervisor", "41"], &Value::Null);
    creature.until_ready();
    until("the process has another parent", || is_orphan(&creature).then_some(()));
    creature.runs();
    creature.let_go();
    let view = creature.ended();
    let reported = end(&view);
    // The exit code must be the real one, because the process ends after the takeover.
    assert!(reported == ("failed", Some(41), None, None, None), "{view}");
}

fn kills_supervisor(cell: &Cell) {
    let creature = cell.show(&["kills-supervisor"], &Value::Null);
    creature.until_ready();
    until("the process has another parent", || is_orphan(&creature).then_some(()));
    let view = creature.cancelled();
    assert_eq!(view["exit"]["signal"], 15, "{view}");
}

/// If the command and its shim end at the same time, the record must contain the real signal or say that the end was
/// not observed.
fn dies_with_supervisor(cell: &Cell) {
    let creature = cell.show(&["ties-itself-to-its-parent"], &Value::Null);
    creature.until_ready();
    creature.runs();
    creature.let_go();
    let view = creature.ends();
    let reported = end(&view);
    let is_true = reported == ("failed", None, Some(9), None, None);
    assert!(is_true || reported == ("interrupted", None, None, None, None), "{view}");
    assert!(view["reason"].as_str().is_some_and(|reason| is_true || reason.contains("supervisor")), "{view}");
}

/// If the shim is stopped by a signal, the manager stops the process tree itself.
fn stops_supervisor(cell: &Cell) {
    let creature = cell.show(&["stops-supervisor"], &Value::Null);
    let supervisor = stat(creature.pid()).unwrap().parent;
    creature.let_go();
    until("its shim is stopped", || (stat(supervisor)?.state == 'T').then_some(()));
    let view = creature.cancelled();
    assert_eq!(view["exit"]["stopped_by"], "user", "{view}");
    until("the shim has ended too", || (!is_alive(supervisor)).then_some(()));
}

fn is_orphan(creature: &Creature) -> bool {
    stat(creature.pid()).is_some_and(|own| {
        let line = std::fs::read(format!("/proc/{}/cmdline", own.parent)).unwrap_or_default();
        !String::from_utf8_lossy(&line).contains("\0attempt\0")
    })
}
