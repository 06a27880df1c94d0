use crate::bench::{Bench, until};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::DirBuilderExt;

#[test]
fn live_work_is_not_taken_over_by_another_state_directory() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let id = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&id)["status"] == "running");
        bench.end_manager(Signal::KILL);

        let old = bench.state().to_owned();
        let bench = bench.at("elsewhere");
        let said = bench.run(&["status"]);
        assert_eq!(said.code, 6, "{store} {said:?}");
        for part in
            ["another state directory", &id, old.to_str().unwrap(), "LONGHAUL_STATE_DIR=", "store adopt"]
        {
            assert!(said.err.contains(part), "{store} {part} in {}", said.err);
        }
        let bench = bench.at("state");
        assert_eq!(bench.show(&id)["status"], "running", "{store}");
    }
}

#[test]
fn store_whose_work_has_ended_serves_any_state_directory() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let id = bench.launch("exit 3");
        assert_eq!(bench.run(&["wait", &id]).code, 3);
        bench.end_manager(Signal::KILL);
        let bench = bench.at("elsewhere");
        assert_eq!(bench.show(&id)["exit"]["code"], 3, "{store}");
        let live = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&live)["status"] == "running");
        bench.end_manager(Signal::KILL);
        let bench = bench.at("state");
        assert_eq!(bench.run(&["status"]).code, 6, "{store}: it belongs to the other one now");
        let bench = bench.at("elsewhere");
        assert_eq!(bench.show(&live)["status"], "running", "{store}");
    }
}

#[test]
fn moved_state_directory_keeps_its_live_work() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let id = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&id)["status"] == "running");
        bench.end_manager(Signal::KILL);
        std::fs::rename(bench.state(), bench.top().join("moved")).unwrap();
        let bench = bench.at("moved");
        assert_eq!(bench.show(&id)["status"], "running", "{store}");
    }
}

#[test]
fn store_that_was_moved_alone_does_not_lose_its_live_work() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    let pid = bench.show(&id)["pid"].as_i64().unwrap();
    bench.end_manager(Signal::KILL);
    let other = bench.top().join("other");
    std::fs::DirBuilder::new().mode(0o700).create(&other).unwrap();
    for end in ["", "-wal", "-shm"] {
        std::fs::rename(
            bench.state().join(format!("longhaul.db{end}")),
            other.join(format!("longhaul.db{end}")),
        )
        .unwrap();
    }
    let bench = bench.at("other");
    let said = bench.run(&["status"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains(&id) && said.err.contains("store adopt"), "{}", said.err);

    let adopted = bench.run(&["store", "adopt"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    assert_eq!(bench.show(&id)["status"], "interrupted");
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn store_is_not_adopted_while_its_manager_lives() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        bench.launch("exec sleep 30");
        let bench = bench.at("elsewhere");
        let said = bench.run(&["store", "adopt"]);
        // The bench ends the manager of the directory that it stands at.
        drop(bench.at("state"));
        assert_eq!(said.code, 6, "{store} {said:?}");
    }
}

#[test]
fn second_manager_of_a_store_is_told_who_was_first() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let id = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&id)["status"] == "running");
        let pid = bench.manager().unwrap().as_raw_nonzero();
        let bench = bench.at("elsewhere");
        let said = bench.run(&["status"]);
        // The bench ends the manager of the directory that it stands at.
        let bench = bench.at("state");
        assert_eq!(said.code, 6, "{store} {said:?}");
        assert!(said.err.contains(&format!("process {pid}")), "{store} {}", said.err);
        assert!(said.err.contains("one store serves one state directory"), "{store} {}", said.err);
        assert_eq!(bench.show(&id)["status"], "running", "{store}");
    }
}

#[test]
fn copy_of_a_store_belongs_to_whom_the_original_belongs() {
    let bench = Bench::new().with_config("store = \"sqlite:{top}/shared\"\n");
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::TERM);
    let bench = bench.at("elsewhere");
    let (from, to) = (bench.top().join("shared"), bench.top().join("copy"));
    let words = ["store", "copy", &format!("sqlite:{}", from.display()), &format!("fs:{}", to.display())];
    assert_eq!(bench.run(&words).code, 0);
    let bench = bench.with_config("store = \"fs:{top}/copy\"\n");
    let said = bench.run(&["status"]);
    assert!(said.code == 6 && said.err.contains("another state directory"), "{said:?}");
    let bench = bench.at("state");
    assert_eq!(bench.show(&id)["status"], "running");
}
