use crate::bench::{Bench, until};
use rustix::process::Signal;
use std::fs::File;
use std::process::Stdio;

#[test]
fn process_outlives_a_killed_manager_and_its_end_is_recorded() {
    let bench = Bench::new();
    let id = bench.launch("echo before; sleep 1; echo after; exit 7");
    until("it runs", || bench.show(&id)["status"] == "running");
    bench.end_manager(Signal::KILL);
    assert_eq!(bench.run(&["wait", &id]).code, 7);
    assert_eq!(bench.run(&["logs", &id]).out, "before\nafter\n");
    assert_eq!(bench.show(&id)["attempt"], 1);
}

#[test]
fn reported_result_and_error_outlive_the_manager_and_describe_a_failed_or_cancelled_command() {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_longhaul");
    let report =
        format!("{program} result '{{\"rows\":3}}' && {program} error 'no rows left' && : > reported");
    let id = bench.launch(&format!("{report}; until [ -e go ]; do sleep 0.02; done; exit 4"));
    until("the command has reported", || bench.top().join("reported").exists());
    bench.end_manager(Signal::KILL);
    std::fs::write(bench.top().join("go"), "").unwrap();
    assert_eq!(bench.run(&["wait", &id]).code, 4);
    let failed = bench.show(&id);
    assert_eq!((&failed["status"], &failed["error"]), (&"failed".into(), &"no rows left".into()));
    assert_eq!((&failed["result"]["rows"], &failed["exit_code"]), (&3.into(), &4.into()));
    let late = bench.run(&["error", "too late", "--id", &id]);
    assert!(late.code != 0 && late.err.contains("[invalid_status_transition]"), "{late:?}");

    std::fs::remove_file(bench.top().join("reported")).unwrap();
    let id = bench.launch(&format!("{report}; exec sleep 60"));
    until("the command has reported", || bench.top().join("reported").exists());
    assert_eq!(bench.run(&["cancel", &id]).code, 0);
    let cancelled = bench.show(&id);
    assert_eq!((&cancelled["status"], &cancelled["result"]["rows"]), (&"cancelled".into(), &3.into()));
}

#[test]
fn manager_that_is_asked_to_exit_leaves_its_processes_running() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    let pid = bench.show(&id)["pid"].clone();
    bench.end_manager(Signal::TERM);
    assert!(!bench.state().join("longhaul.sock").exists());
    let after = bench.show(&id);
    assert_eq!((&after["status"], &after["pid"]), (&"running".into(), &pid));
}

#[test]
fn manager_stops_everything_first_if_that_is_wanted() {
    let bench = Bench::new();
    let mut server = bench.command(&["serve", "--stop-processes"]).spawn().unwrap();
    until("it answers", || bench.run(&["--no-autostart", "status"]).code == 0);
    let id = bench.launch("exec sleep 30");
    until("it runs", || bench.show(&id)["status"] == "running");
    rustix::process::kill_process(bench.manager().unwrap(), Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    let ended = bench.show(&id);
    assert_eq!((&ended["status"], &ended["exit"]["stopped_by"]), (&"cancelled".into(), &"shutdown".into()));
}

#[test]
fn manager_whose_log_cannot_be_written_works_on() {
    for sink in ["full device", "closed pipe"] {
        let bench = Bench::new();
        let mut serve = bench.command(&["-vv", "serve"]);
        match sink {
            "full device" => serve.stderr(File::options().write(true).open("/dev/full").unwrap()),
            _ => serve.stderr(Stdio::piped()),
        };
        let mut server = serve.spawn().unwrap();
        drop(server.stderr.take());
        until("it answers", || bench.run(&["--no-autostart", "status"]).code == 0);
        let id = bench.launch("exit 3");
        assert_eq!(bench.run(&["--no-autostart", "wait", &id]).code, 3, "{sink}");
        assert_eq!(bench.manager().unwrap().as_raw_nonzero().get().unsigned_abs(), server.id(), "{sink}");
        bench.end_manager(Signal::TERM);
        assert!(server.wait().unwrap().success(), "{sink}");
    }
}

#[test]
fn project_has_work_of_its_own_after_init() {
    let bench = Bench::new();
    let project = bench.top().join("project");
    let deep = project.join("src");
    std::fs::create_dir_all(&deep).unwrap();
    let inside = |words: &[&str]| {
        let output =
            bench.command(words).env_remove("LONGHAUL_STATE_DIR").current_dir(&deep).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let made = bench.command(&["init"]).current_dir(&project).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let reported = inside(&["run", "--", "sh", "-c", "echo $LONGHAUL_SOCKET"]);
    let own = Bench::new().with_state(project.join(".longhaul"));
    assert_eq!(reported.trim(), own.state().join("longhaul.sock").to_str().unwrap());
    assert!(own.is_serving() && !bench.is_serving());
}

#[test]
fn deleted_output_is_reported_as_text() {
    let bench = Bench::new();
    let (spoke, silent, robbed) =
        (bench.launch("echo here"), bench.launch("true"), bench.launch("echo here"));
    for id in [&spoke, &silent] {
        assert_eq!(bench.run(&["wait", id]).code, 0);
        // Removes the output of the process in the same way as pruning does.
        std::fs::remove_dir_all(bench.state().join("attempts").join(id)).unwrap();
    }
    assert_eq!(bench.run(&["wait", &robbed]).code, 0);
    std::fs::remove_file(bench.state().join("attempts").join(&robbed).join("1/output.log")).unwrap();
    for id in [&spoke, &robbed] {
        let said = bench.run(&["logs", id]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
        for part in ["was deleted", "output_removed", "output.total"] {
            assert!(said.err.contains(part), "{part} in {}", said.err);
        }
        assert_eq!(bench.show(id)["conditions"], serde_json::json!(["output_removed"]));
        assert!(bench.run(&["status", id]).out.contains("deleted to free space"));
    }
    let said = bench.run(&["logs", &silent]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""));
    assert_eq!(bench.show(&silent)["conditions"], serde_json::json!([]));
}

#[test]
fn stats_and_the_wide_table_show_resource_usage() {
    let bench = Bench::new();
    let id = bench.launch("while :; do :; done");
    let used = || {
        let said = bench.run(&["--json", "stats"]);
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()["total"].clone()
    };
    until("the command has used CPU time", || used()["usage"]["cpu_ms"].as_u64().is_some_and(|cpu| cpu > 0));
    let total = used();
    assert!(total["usage"]["memory_bytes"].as_u64().unwrap() > 0 && total["uptime_ms"].as_u64().unwrap() > 0);
    assert!(total["usage"]["written_bytes"].is_u64(), "{total}");
    let wide = bench.run(&["status", "-o", "wide"]).out;
    let columns: Vec<Vec<&str>> = wide.lines().map(|line| line.split('\t').collect()).collect();
    let of = |head: &str| columns[1][columns[0].iter().position(|found| *found == head).unwrap()];
    assert!(of("WRITTEN").parse::<u64>().is_ok() && of("READ").parse::<u64>().is_ok(), "{wide}");
    assert_eq!(bench.run(&["cancel", "--force", &id]).code, 0);
    assert_eq!(used()["usage"], serde_json::Value::Null);
}

#[test]
fn manager_that_begins_while_its_killed_predecessor_is_ending_waits_for_it() {
    for store in ["sqlite:", "fs:"] {
        let bench = Bench::new().with_config(&format!("store = \"{store}{{top}}/shared\"\n"));
        let serve = || bench.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut manager = serve();
        for _ in 0..20 {
            let pid = manager.id().to_string();
            let lock = bench.state().join("manager.lock");
            until("the process has its slot", || {
                let holder = std::fs::read_to_string(&lock).unwrap_or_default();
                holder.contains(&format!("pid={pid}\n")) && bench.state().join("longhaul.sock").exists()
            });
            rustix::process::kill_process(bench.manager().unwrap(), Signal::KILL).unwrap();
            std::fs::remove_file(bench.state().join("longhaul.sock")).unwrap();
            let mut next = serve();
            manager.wait().unwrap();
            until("the next manager serves", || {
                assert!(next.try_wait().unwrap().is_none(), "{store}: the manager left");
                bench.state().join("longhaul.sock").exists()
            });
            manager = next;
        }
        rustix::process::kill_process(bench.manager().unwrap(), Signal::TERM).unwrap();
        assert!(manager.wait().unwrap().success());
    }
}
