use crate::bench::{Bench, Said, until};
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
        assert_eq!(bench.run(&["status"]).code, 6, "{store}: the store now belongs to the other directory");
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
        // The bench ends only the manager that serves its current state directory.
        drop(bench.at("state"));
        assert_eq!(said.code, 6, "{store} {said:?}");
    }
}

#[test]
fn second_manager_of_a_store_learns_which_manager_was_first() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let id = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&id)["status"] == "running");
        let pid = bench.manager().unwrap().as_raw_nonzero();
        let bench = bench.at("elsewhere");
        let said = bench.run(&["status"]);
        // The bench ends only the manager that serves its current state directory.
        let bench = bench.at("state");
        assert_eq!(said.code, 6, "{store} {said:?}");
        assert!(said.err.contains(&format!("process {pid}")), "{store} {}", said.err);
        assert!(said.err.contains("use a store with only one state directory"), "{store} {}", said.err);
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

#[test]
fn lost_or_damaged_binding_does_not_lock_out_the_own_directory() {
    for (store, binding) in [("sqlite:", "longhaul.db.state"), ("fs:", "store/state")] {
        let bench = Bench::new().with_config(&format!("store = \"{store}\"\n"));
        let id = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&id)["status"] == "running");
        let (binding, own_id) = (bench.state().join(binding), bench.state().join("state_id"));
        for file in [&binding, &own_id] {
            for damage in ["missing", "dangling", "", "garbage\n", "state=12\npath=/", "\u{0}\u{0}"] {
                bench.end_manager(Signal::KILL);
                std::fs::remove_file(file).unwrap();
                match damage {
                    "missing" => {}
                    "dangling" => std::os::unix::fs::symlink(bench.top().join("nothing"), file).unwrap(),
                    text => std::fs::write(file, text).unwrap(),
                }
                assert_eq!(bench.show(&id)["status"], "running", "{store} {file:?} {damage:?}");
                let now = std::fs::read_to_string(&own_id).unwrap();
                let said = std::fs::read_to_string(&binding).unwrap();
                assert!(now.len() > 30 && said.contains(now.trim()), "{store} {file:?} {damage:?}: {said}");
            }
        }
        assert!(bench.log().contains("the manager rewrites the file"), "{}", bench.log());
    }
}

#[test]
fn unnamed_store_elsewhere_is_refused_without_a_guess_at_its_directory() {
    let bench = Bench::new().with_config("store = \"sqlite:{top}/shared\"\n");
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    for damage in [None, Some("garbage")] {
        bench.end_manager(Signal::KILL);
        let binding = bench.top().join("shared.state");
        std::fs::remove_file(&binding).unwrap();
        if let Some(text) = damage {
            std::fs::write(&binding, text).unwrap();
        }
        let said = bench.run(&["status"]);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.err.contains("another state directory") && said.err.contains("store adopt"), "{said:?}");
        assert!(!said.err.contains("LONGHAUL_STATE_DIR="), "{}", said.err);

        let adopted = bench.run(&["store", "adopt"]);
        assert_eq!(adopted.code, 0, "{adopted:?}");
        assert!(!adopted.out.contains("interrupted"), "the attempts are here: {adopted:?}");
        assert_eq!(bench.show(&id)["status"], "running");
    }
}

#[test]
fn directory_in_the_place_of_a_binding_is_named() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    for name in ["longhaul.db.state", "state_id"] {
        bench.end_manager(Signal::KILL);
        let file = bench.state().join(name);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        for words in [&["status"][..], &["store", "adopt"]] {
            let said = bench.run(words);
            assert_eq!(said.code, 6, "{words:?} {said:?}");
            for part in [file.to_str().unwrap(), "is a directory", "[store_unavailable]"] {
                assert!(said.err.contains(part), "{words:?} {part} in {}", said.err);
            }
        }
        std::fs::remove_dir(&file).unwrap();
        assert_eq!(bench.show(&id)["status"], "running");
    }
}

#[test]
fn store_of_an_existing_directory_is_adopted_only_on_confirmation() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let id = bench.launch("exec sleep 30");
        until("it runs", || bench.show(&id)["status"] == "running");
        let pid = bench.show(&id)["pid"].as_i64().unwrap();
        bench.end_manager(Signal::KILL);
        let old = bench.state().to_owned();

        let bench = bench.at("elsewhere");
        let said = bench.run(&["store", "adopt"]);
        assert_eq!(said.code, 2, "{store} {said:?}");
        for part in ["1 running process ", old.to_str().unwrap(), "adopt --yes", "[input_needed]"] {
            assert!(said.err.contains(part), "{store} {part} in {}", said.err);
        }
        assert_eq!(bench.run(&["status"]).code, 6, "{store}: nothing was changed");

        let bench = bench.at("state");
        let own = bench.run(&["store", "adopt"]);
        assert!(own.code == 0 && !own.out.contains("interrupted"), "{store} {own:?}");
        assert_eq!(bench.show(&id)["status"], "running", "{store}");
        bench.end_manager(Signal::KILL);

        let bench = bench.at("elsewhere");
        let adopted = bench.run(&["store", "adopt", "--yes"]);
        assert!(adopted.code == 0 && adopted.out.contains("1 running process "), "{store} {adopted:?}");
        assert_eq!(bench.show(&id)["status"], "interrupted", "{store}");
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    }
}

#[test]
fn store_of_a_missing_directory_is_adopted_without_confirmation() {
    let bench = Bench::new().with_config("store = \"sqlite:{top}/shared\"\n");
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    let pid = bench.show(&id)["pid"].as_i64().unwrap();
    bench.end_manager(Signal::KILL);
    std::fs::rename(bench.state(), bench.top().join("away")).unwrap();
    let bench = bench.at("elsewhere");
    let adopted = bench.run(&["store", "adopt"]);
    assert!(adopted.code == 0 && adopted.out.contains("1 running process "), "{adopted:?}");
    assert_eq!(bench.show(&id)["status"], "interrupted");
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn store_adopt_does_not_repeat_a_start_without_a_record() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let armed = |words: &[&str]| {
            let mut command = bench.command(words);
            command.env("LONGHAUL_FAILPOINTS", "engine.commit.running=kill");
            command.env("LONGHAUL_FAILPOINTS_SEEN", bench.top().join("passes")).output().unwrap()
        };
        armed(&["status"]);
        let script = "echo $$ $LONGHAUL_ID >>ran; exec sleep 30";
        armed(&["run", "-b", "--no-autostart", "--", "sh", "-c", script]);
        until("the manager is gone", || !bench.is_serving());
        let ran = || std::fs::read_to_string(bench.top().join("ran")).unwrap_or_default();
        until("it runs", || ran().ends_with('\n'));

        let other = bench.top().join("elsewhere");
        let (pid, id) = {
            let first = ran();
            let (pid, id) = first.trim().split_once(' ').unwrap();
            (pid.to_owned(), id.to_owned())
        };
        let there = |words: &[&str]| {
            Said::of(bench.command(words).env("LONGHAUL_STATE_DIR", &other).output().unwrap())
        };
        let adopted = there(&["store", "adopt", "--yes"]);
        assert_eq!(adopted.code, 0, "{store} {adopted:?}");
        let said = there(&["wait", &id]);
        assert!(said.err.contains("interrupted"), "{store} {said:?}");
        let shown = there(&["inspect", &id]);
        assert!(shown.out.contains("had recorded whether the command ran"), "{store} {shown:?}");
        let ran = ran();
        assert_eq!(ran.lines().count(), 1, "{store}: {ran}");
        kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
        drop(bench.at("elsewhere"));
    }
}
