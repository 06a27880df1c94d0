//! Tests of a store of a program-added kind that is served from two state directories.

use crate::bench::{Bench, until};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;

/// Returns a bench that runs the example program `own_program` with the given file as its store.
fn serving(store: &Path) -> Bench {
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2).unwrap().join("examples/own_program");
    assert!(program.exists(), "{} is missing: run scripts/test, which builds it first", program.display());
    Bench::new().with_program(program).with_config(&format!("store = \"files:{}\"\n", store.display()))
}

fn launched(bench: &Bench) -> (String, Pid) {
    let id = bench.launch("exec sleep 300");
    until("it runs", || bench.show(&id)["status"] == "running");
    let pid = bench.show(&id)["pid"].as_i64().unwrap();
    (id, Pid::from_raw(i32::try_from(pid).unwrap()).unwrap())
}

fn refused(bench: &Bench, owner: &Bench) {
    let said = bench.run(&["run", "-b", "--", "true"]);
    assert_eq!(said.code, 6, "{said:?}");
    let place = std::fs::canonicalize(owner.state()).unwrap();
    for word in ["node_name_taken", place.to_str().unwrap(), "node.id", "longhaul store adopt"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}

#[test]
fn second_state_directory_with_one_node_name_is_refused_and_live_processes_continue() {
    let top = tempfile::tempdir().unwrap();
    let store = top.path().join("shared.db");
    let (first, second) = (serving(&store), serving(&store));
    let (id, pid) = launched(&first);
    refused(&second, &first);
    assert_eq!(first.show(&id)["status"], "running");

    first.end_manager(Signal::KILL);
    refused(&second, &first);
    let shown = first.show(&id);
    assert_eq!((&shown["status"], shown["pid"].as_i64()), (&"running".into(), Some(pid.as_raw_pid().into())));
}

#[test]
fn custom_store_of_a_missing_state_directory_is_adopted() {
    let top = tempfile::tempdir().unwrap();
    let store = top.path().join("shared.db");
    let (first, second) = (serving(&store), serving(&store));
    let (id, pid) = launched(&first);
    first.end_manager(Signal::KILL);
    let unasked = second.run(&["store", "adopt"]);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    refused(&second, &first);
    let adopted = second.run(&["store", "adopt", "--yes"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    assert!(adopted.out.contains("1 running process of another state directory"), "{}", adopted.out);
    assert_eq!(second.show(&id)["status"], "interrupted");
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn store_of_ones_own_is_copied_in_both_directions() {
    let top = tempfile::tempdir().unwrap();
    let (own, back) = (top.path().join("own.db"), top.path().join("back.db"));
    let bench = serving(&own);
    let id = bench.launch("exit 7");
    assert_eq!(bench.run(&["wait", &id]).code, 7);
    bench.end_manager(Signal::TERM);
    let (own, back) = (format!("files:{}", own.display()), format!("files:{}", back.display()));
    let between = format!("fs:{}", top.path().join("between").display());
    for (from, to) in [(&own, &between), (&between, &back)] {
        let said = bench.run(&["store", "copy", from, to]);
        assert!(said.code == 0 && said.out.contains("1 process,"), "{from} {to}: {said:?}");
    }
    let again = bench.run(&["store", "copy", &between, &back]);
    assert!(again.code == 1 && again.err.contains("already exists"), "{again:?}");
    let bench = bench.with_config(&format!("store = \"{back}\"\n"));
    assert_eq!(bench.show(&id)["exit"]["code"], 7);
}

#[test]
fn custom_store_with_older_data_is_not_served_until_the_loss_is_accepted() {
    let top = tempfile::tempdir().unwrap();
    let store = top.path().join("shared.db");
    let bench = serving(&store);
    let (id, pid) = launched(&bench);
    let marked = || std::fs::read_to_string(bench.state().join("store_mark")).unwrap_or_default();
    until("the store is marked", || marked().starts_with("newest_event="));
    bench.end_manager(Signal::KILL);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(top.path().join(format!("shared.db{ending}")));
    }
    let refused = bench.run(&["status", "-a"]);
    for part in ["store_lost", "longhaul store adopt", &id] {
        assert!(refused.code == 6 && refused.err.contains(part), "{part}: {refused:?}");
    }
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("has lost its newest records"), "{doctor:?}");
    let unasked = bench.run(&["store", "adopt"]);
    assert!(unasked.code == 2 && unasked.err.contains("adopt --yes"), "{unasked:?}");
    let adopted = bench.run(&["store", "adopt", "--yes"]);
    assert!(adopted.code == 0 && adopted.out.contains(&id), "{adopted:?}");
    assert_eq!(bench.run(&["run", "--", "true"]).code, 0, "the store is served from now on");
    kill_process(pid, Signal::KILL).unwrap();
}
