//! Visits with programs that create processes and leave their process group or session.

use super::Visit;
use crate::cell::{Cell, Containment};
use crate::creature::{end, hasty};
use longhaul_tests::{descendants, is_alive, kill, until};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;

pub(crate) const VISITS: &[(&str, Visit)] = &[
    ("starts a manager", starts_a_manager),
    ("starts its own child", starts_a_child),
    ("a storm of forks", storms),
    ("changes parents all the time", re_parents),
    ("hops from session to session", hops),
    ("starts programs all the time", vforks),
    ("leaves a daemon", daemon),
    ("leaves a storm", leaves_storm),
    ("leaves a child that holds its output", holds_output),
    ("leaves a child that holds a port", holds_port),
    ("forks without exec", forks_only),
    ("makes zombies", makes_zombies),
    ("leaves a child without a name", sheds_its_name),
    ("traces its child", traces),
];

fn storms(cell: &Cell) {
    let creature = cell.show(&["storms"], &hasty());
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(9), Some("user"), Some(9)), "{view}");
    assert!(creature.census.born().len() > 10, "no storm");
    assert!(view["exit"]["leftovers_killed"].as_u64().unwrap() >= 5, "{view}");
}

fn re_parents(cell: &Cell) {
    let creature = cell.show(&["re-parents"], &hasty());
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(9), Some("user"), Some(9)), "{view}");
    // With containment by group, the number may be 0: all processes of the group are killed at one moment, even those
    // that the shim never found.
    assert!(
        view["exit"]["leftovers_killed"].as_u64().unwrap() >= 1 || cell.containment == Containment::Group,
        "{view}"
    );
}

fn hops(cell: &Cell) {
    let view = cell.show(&["hops"], &hasty()).cancelled_or_escaped();
    assert_eq!(end(&view), ("cancelled", None, Some(9), Some("user"), Some(9)), "{view}");
}

fn vforks(cell: &Cell) {
    let view = cell.show(&["vforks"], &Value::Null).cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}

fn daemon(cell: &Cell) {
    let view = cell.show(&["daemon"], &hasty()).ends_or_escapes();
    assert_eq!(end(&view), ("completed", Some(0), None, None, None), "{view}");
    if cell.containment != Containment::Group {
        assert_eq!(view["exit"]["leftovers_found"], 1, "{view}");
    }
}

fn leaves_storm(cell: &Cell) {
    let view = cell.show(&["leaves-storm"], &hasty()).ends();
    assert_eq!(end(&view), ("failed", Some(4), None, None, None), "{view}");
    // For a moment, a process of the storm and its successor are both alive.
    assert!(matches!(view["exit"]["leftovers_found"].as_u64(), Some(1 | 2)), "{view}");
}

fn holds_output(cell: &Cell) {
    let view = cell.show(&["holds-output"], &hasty()).ends_or_escapes();
    assert_eq!(end(&view), ("failed", Some(3), None, None, None), "{view}");
}

fn holds_port(cell: &Cell) {
    let creature = cell.show(&["holds-port"], &hasty());
    let view = creature.ends_or_escapes();
    assert_eq!(end(&view), ("completed", Some(0), None, None, None), "{view}");
    let port: u16 = fs::read_to_string(creature.census.beside("port")).unwrap().trim().parse().unwrap();
    until("the port is free", || TcpListener::bind(("127.0.0.1", port)).ok());
}

fn forks_only(cell: &Cell) {
    let view = cell.show(&["forks-only"], &hasty()).cancelled_or_escaped();
    assert_eq!(end(&view).1, None, "{view}");
    if cell.containment != Containment::Group {
        assert_eq!(view["exit"]["last_signal"], 9, "{view}");
        assert_eq!(view["exit"]["leftovers_killed"], 3, "{view}");
    }
}

fn makes_zombies(cell: &Cell) {
    let creature = cell.show(&["makes-zombies"], &Value::Null);
    // `cancelled` also waits until all processes of the program have been reaped.
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
    assert_eq!(creature.census.born().len(), 51);
}

fn sheds_its_name(cell: &Cell) {
    let creature = cell.show(&["sheds-its-name"], &hasty());
    creature.until_ready();
    let named = creature.census.born().into_iter().filter(|(pid, _)| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("a) Z"))
    });
    assert_eq!(named.count(), 1, "no process has that name");
    let view = creature.cancelled_or_escaped();
    assert_eq!(view["status"], "cancelled", "{view}");
}

fn traces(cell: &Cell) {
    let view = cell.show(&["traces"], &hasty()).cancelled();
    assert_eq!(view["status"], "cancelled", "{view}");
}

/// If a command launches a process through its own manager, that process is a child of its process and ends with it.
fn starts_a_child(cell: &Cell) {
    let program = cell.program("longhaul").display().to_string();
    let zoo = cell.program("zoo").display().to_string();
    let creature = cell.show(
        &["nested", &program, "run", "-b", "--name", "inner", "--grace", "300ms", "--", &zoo, "ignores-term"],
        &hasty(),
    );
    creature.until_ready();
    let tree =
        cell.keeper.must("GET", &format!("/v1/processes/{}/tree", creature.id), &Value::Null).to_string();
    assert!(tree.contains("\"inner\""), "{tree}");
    creature.order("cancel", &json!({}));
    let view = creature.ended();
    assert_eq!(view["status"], "cancelled", "{view}");
    until("the inner process has exited too", || creature.census.alive().is_empty().then_some(()));
}

/// A manager that a command starts does not belong to the command's tree, and neither do the processes of that manager.
fn starts_a_manager(cell: &Cell) {
    let program = cell.program("longhaul").display().to_string();
    let zoo = cell.program("zoo").display().to_string();
    let inner = cell.own_directory("inner");
    let state = inner.join("state");
    let words = ["nested", "env", "-u", "LONGHAUL_ID", "-u", "LONGHAUL_SOCKET"].map(str::to_owned);
    let place = format!("LONGHAUL_STATE_DIR={}", state.display());
    let rest = [place, program, "run".to_owned(), "-b".to_owned(), "--".to_owned(), zoo, "obeys".to_owned()];
    let words: Vec<String> = words.into_iter().chain(rest).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let creature = cell.show(&words, &Value::Null);
    creature.until_ready();
    let lock = fs::read_to_string(state.join("manager.lock")).unwrap();
    let manager: u32 = lock.lines().find_map(|line| line.strip_prefix("pid=")).unwrap().parse().unwrap();
    // Also wait for the process of the inner manager: it uses the same file to report that it is ready, so the wait
    // above may have ended early.
    until("the inner process runs", || (creature.census.alive().len() >= 3).then_some(()));
    creature.order("cancel", &json!({}));
    let view = creature.ended();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
    let alive = creature.census.alive();
    assert!(is_alive(manager) && alive.contains(&manager), "the inner manager was stopped too: {view}");
    assert!(alive.len() >= 2, "the process of the inner manager was stopped too: {alive:?}, {view}");
    // Wait until no process is running. The inner manager then removes its cgroup when it is requested to exit.
    alive.iter().filter(|pid| **pid != manager).for_each(|pid| kill("-KILL", *pid));
    until("the inner manager runs no process", || (creature.census.alive().len() == 1).then_some(()));
    until("its shim has exited", || (descendants(manager).is_empty()).then_some(()));
    kill("-TERM", manager);
    until("all processes have exited", || creature.census.alive().is_empty().then_some(()));
}
