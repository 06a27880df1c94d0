//! Visits with programs that the kernel freezes or kills. Only root can arrange this.

use super::Visit;
use crate::cell::Cell;
use crate::creature::{end, hasty};
use longhaul_tests::until;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const VISITS: &[(&str, Visit)] =
    &[("cannot be killed for a while", unkillable), ("is killed because memory is full", out_of_memory)];

/// Memory limit of the cgroup, in bytes.
const MEMORY: u64 = 24 << 20;

/// A cgroup v1 that is removed when the value is dropped.
struct OldGroup {
    path: PathBuf,
}

impl OldGroup {
    /// Creates a cgroup v1. If that is not possible on this machine, prints a message and returns `None`.
    fn make(controller: &str, creature: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let is_it =
                fields.get(2) == Some(&"cgroup") && fields.get(3)?.split(',').any(|each| each == controller);
            is_it.then(|| PathBuf::from(fields[1]))
        });
        let number = format!("zoo-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = root.map(|root| root.join(number.replace(['(', ')'], "")));
        match path.filter(|path| fs::create_dir(path).is_ok()) {
            Some(path) => Some(Self { path }),
            None => {
                eprintln!(
                    "SKIPPED: {creature}: no cgroup v1 with the controller {controller} can be created here"
                );
                None
            }
        }
    }

    fn set(&self, file: &str, value: &str) {
        fs::write(self.path.join(file), value).unwrap();
    }
}

impl Drop for OldGroup {
    fn drop(&mut self) {
        let _only_the_freezer_has_it = fs::write(self.path.join("freezer.state"), "THAWED");
        let begin = std::time::Instant::now();
        while fs::remove_dir(&self.path).is_err() && begin.elapsed().as_secs() < 5 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// The freezer of cgroup v1 delays even SIGKILL. The process must be reported as stuck until it can be killed.
fn unkillable(cell: &Cell) {
    let Some(group) = OldGroup::make("freezer", "cannot be killed for a while") else { return };
    let creature = cell.show(&["obeys"], &hasty());
    creature.until_ready();
    let pid = creature.pid();
    group.set("cgroup.procs", &pid.to_string());
    group.set("freezer.state", "FROZEN");
    until("the process is frozen", || {
        fs::read_to_string(group.path.join("freezer.state")).unwrap().starts_with("FROZEN").then_some(())
    });
    // The manager must answer while the process is still stopping, because the client must not wait for a process that
    // cannot end.
    let reported =
        cell.keeper.ask("POST", &format!("/v1/processes/{}/cancel", creature.id), &json!({})).unwrap();
    assert!(reported.0 == 200 || reported.0 == 202, "{reported:?}");
    let view = until("the process is reported as stuck", || {
        let view = creature.view();
        assert_eq!(view["status"], "stopping", "alive, and reported otherwise: {view}");
        let conditions = view["conditions"].as_array().unwrap();
        // On a busy machine, the shim may find the survivors later than the manager reports the condition.
        let names = view["reason"].as_str().is_some_and(|reason| reason.contains(&pid.to_string()));
        (names && conditions.contains(&json!("stuck"))).then_some(view)
    });
    assert!(view["reason"].as_str().unwrap().contains("still running"), "{view}");
    assert_eq!(creature.census.alive(), BTreeSet::from([pid]));
    group.set("freezer.state", "THAWED");
    let view = creature.ends();
    assert_eq!(view["status"], "cancelled", "{view}");
    assert_eq!(view["exit"]["stopped_by"], "user", "{view}");
}

/// The kernel log names a process that is killed because memory is exhausted. A manager that cannot read the log does
/// not report this cause.
fn out_of_memory(cell: &Cell) {
    let Some(group) = OldGroup::make("memory", "is killed because memory is full") else { return };
    group.set("memory.limit_in_bytes", &MEMORY.to_string());
    let creature = cell.show(&["eats-memory"], &Value::Null);
    creature.until_ready();
    group.set("cgroup.procs", &creature.pid().to_string());
    creature.let_go();
    let view = creature.ends();
    assert_eq!(end(&view), ("failed", None, Some(9), None, None), "{view}");
    if cell.is_of_root() && Path::new("/dev/kmsg").exists() {
        assert_eq!(view["exit"]["limit"], "memory", "{view}");
        assert!(view["reason"].as_str().unwrap().contains("memory was full"), "{view}");
    } else {
        assert!(view["exit"]["limit"].is_null() || view["exit"]["limit"] == "memory", "{view}");
    }
    let peak = view["exit"]["usage"]["peak_memory_bytes"].as_u64().unwrap();
    assert!((MEMORY / 2..4 * MEMORY).contains(&peak), "{view}");
}
