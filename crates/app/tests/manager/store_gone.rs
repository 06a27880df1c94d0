//! A store that goes away under its manager, while the state directory stays where it is.

use crate::bench::{Bench, Said, until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::process::Stdio;

/// The exit code of a manager that lost what it stands on.
const DISPLACED: i32 = 8;
/// The store in files.
const FILES: &str = "store = \"fs:{top}/state/store\"\n";

/// What a manager says when its store is taken away while a command of it runs.
fn loses_its_store(bench: &Bench, take_away: impl FnOnce()) -> Said {
    let mut manager = bench.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    until("it serves", || bench.run(&["--no-autostart", "status"]).code == 0);
    let id = bench.launch("exec sleep 60");
    until("it runs", || bench.show(&id)["pid"].is_u64());
    let pid = i32::try_from(bench.show(&id)["pid"].as_i64().unwrap()).unwrap();
    let command = Pid::from_raw(pid).unwrap();
    take_away();
    let late = bench.run(&["--no-autostart", "run", "-b", "--", "true"]);
    assert_ne!(late.code, 0, "a launch that no store keeps is not acknowledged: {late:?}");
    until("it leaves", || manager.try_wait().unwrap().is_some());
    let said = Said::of(manager.wait_with_output().unwrap());
    assert!(test_kill_process(command).is_ok(), "its work goes on");
    kill_process(command, Signal::KILL).unwrap();
    said
}

#[test]
fn manager_whose_store_is_removed_or_replaced_acknowledges_nothing_and_leaves() {
    type TakeAway = fn(&Bench);
    let removed: TakeAway = |bench| {
        for ending in ["", "-wal", "-shm"] {
            fs::remove_file(bench.state().join(format!("longhaul.db{ending}"))).unwrap();
        }
    };
    let replaced: TakeAway = |bench| {
        let file = bench.state().join("longhaul.db");
        fs::rename(&file, bench.top().join("aside")).unwrap();
        fs::copy(bench.top().join("aside"), file).unwrap();
    };
    let without_its_journal: TakeAway = |bench| {
        fs::remove_file(bench.state().join("longhaul.db-wal")).unwrap();
    };
    let files_removed: TakeAway = |bench| fs::remove_dir_all(bench.state().join("store")).unwrap();
    let files_moved: TakeAway = |bench| {
        fs::rename(bench.state().join("store"), bench.top().join("aside")).unwrap();
    };
    for (config, lost, take_away) in [
        ("", "longhaul.db", removed),
        ("", "longhaul.db", replaced),
        ("", "longhaul.db-wal", without_its_journal),
        (FILES, "state/store", files_removed),
        (FILES, "state/store", files_moved),
    ] {
        let bench = Bench::new().with_config(config);
        let said = loses_its_store(&bench, || take_away(&bench));
        assert_eq!(said.code, DISPLACED, "{said:?}");
        for part in [lost, "removed, moved or replaced", "state_dir_gone"] {
            assert!(said.err.contains(part), "{part} in {}", said.err);
        }
    }
}

#[test]
fn start_on_an_empty_store_beside_attempts_is_told_in_the_log() {
    let bench = Bench::new();
    let warned = || bench.log().lines().filter(|line| line.contains("WARN")).count();
    let id = bench.launch("true");
    assert_eq!(bench.run(&["wait", &id]).code, 0);
    bench.end_manager(Signal::TERM);
    assert_eq!(bench.run(&["status"]).code, 0);
    bench.end_manager(Signal::TERM);
    assert_eq!(warned(), 0, "{}", bench.log());
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(bench.state().join(format!("longhaul.db{ending}")));
    }
    assert_eq!(bench.run(&["status"]).code, 0);
    let log = bench.log();
    let line = log.lines().find(|line| line.contains("WARN")).unwrap_or_default();
    for part in ["longhaul.db", &bench.state().join("attempts").display().to_string()] {
        assert!(line.contains(part), "{part} in {log}");
    }
}

#[test]
fn socket_that_is_removed_is_bound_again_by_the_same_manager() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 60");
    let manager = bench.manager();
    let sockets = [bench.state().join("longhaul.sock"), bench.state().join("mcp.sock")];
    let mut waiting = bench.command(&["wait", &id]).stdout(Stdio::null()).spawn().unwrap();
    for round in 0..2 {
        for socket in &sockets {
            fs::remove_file(socket).unwrap();
        }
        until("both are there again", || {
            sockets.iter().all(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok())
        });
        let said = bench.run(&["--no-autostart", "run", "--", "echo", "here"]);
        assert_eq!((said.code, said.out.as_str()), (0, "here\n"), "{round}: {said:?}");
    }
    // Another one in its place is no manager's. It is moved there, for a free place is taken at once.
    let aside = bench.top().join("other.sock");
    let other = std::os::unix::net::UnixListener::bind(&aside).unwrap();
    other.set_nonblocking(true).unwrap();
    fs::rename(aside, &sockets[0]).unwrap();
    until("it is the manager's again", || {
        bench.command(&["--no-autostart", "version"]).output().is_ok_and(|output| output.status.success())
    });
    assert_eq!(bench.manager(), manager);
    assert!(waiting.try_wait().unwrap().is_none(), "who was connected stays so");
    assert_eq!(bench.run(&["cancel", "--now", &id]).code, 0);
    waiting.wait().unwrap();
}
