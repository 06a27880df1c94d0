//! Tests of a state directory that disappears while its manager is running.

use crate::bench::{Bench, Said, until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

/// Exit code of a manager that lost its state directory.
const DISPLACED: i32 = 8;

/// A manager that runs in the foreground and has a running command.
struct Scene {
    bench: Bench,
    manager: Child,
    id: String,
    command: Pid,
}

impl Scene {
    fn new() -> Self {
        Self::on(Bench::new().at("above/state"))
    }

    fn on(bench: Bench) -> Self {
        let manager = bench.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        until("it serves", || bench.run(&["--no-autostart", "status"]).code == 0);
        let id = bench.launch("until test -e gate; do sleep 0.02; done; exit 5");
        until("it runs", || bench.show(&id)["pid"].is_u64());
        let pid = bench.show(&id)["pid"].as_i64().unwrap();
        Self { command: Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), bench, manager, id }
    }

    /// Waits until the manager exits by itself. Returns the output of the manager, the bench and the id of the running
    /// process.
    fn leaves(mut self) -> (Said, Bench, String) {
        until("it leaves", || self.manager.try_wait().unwrap().is_some());
        let said = Said::of(self.manager.wait_with_output().unwrap());
        assert_eq!(said.code, DISPLACED, "{said:?}");
        assert!(said.err.contains("removed, moved"), "{said:?}");
        assert!(said.err.contains("state_dir_lost"), "{said:?}");
        assert!(test_kill_process(self.command).is_ok(), "the command continues");
        (said, self.bench, self.id)
    }
}

#[test]
fn manager_whose_directory_is_removed_exits_and_its_processes_continue() {
    let scene = Scene::new();
    let command = scene.command;
    // The manager may still create files while the directory is being removed, so the removal is repeated.
    until("the directory is gone", || match fs::remove_dir_all(scene.bench.state()) {
        Ok(()) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    });
    let (_, bench, _) = scene.leaves();
    assert!(!bench.state().exists(), "the manager left no files at that path");
    let said = bench.run(&["run", "--", "echo", "fresh"]);
    assert_eq!((said.code, said.out.as_str()), (0, "fresh\n"), "{said:?}");
    kill_process(command, Signal::KILL).unwrap();
}

#[test]
fn moved_state_directory_is_served_at_its_new_path() {
    let scene = Scene::new();
    let aside = scene.bench.top().join("aside");
    fs::rename(scene.bench.state(), &aside).unwrap();
    // A client that uses the old path after the move gets a new state directory.
    let other = scene.bench.run(&["run", "-b", "--", "sleep", "60"]);
    assert_eq!(other.code, 0, "{other:?}");
    let (_, bench, id) = scene.leaves();
    assert!(bench.is_serving(), "the other one stays");
    fs::write(bench.top().join("gate"), "").unwrap();
    let moved =
        |words: &[&str]| Said::of(bench.command(words).env("LONGHAUL_STATE_DIR", &aside).output().unwrap());
    let said = moved(&["wait", &id]);
    assert_eq!(said.code, 5, "{said:?}");
    let pid = fs::read_to_string(aside.join("manager.lock")).unwrap();
    let pid = pid.lines().find_map(|line| line.strip_prefix("pid=")).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
}

#[test]
fn no_write_is_acknowledged_after_the_loss_of_the_directory() {
    let bench = Bench::new();
    // If a path contains a link to another link, inotify does not report a change of the second link. Only the check at
    // each write detects the loss.
    let second = bench.top().join("second");
    fs::create_dir(bench.top().join("real")).unwrap();
    symlink("real", &second).unwrap();
    symlink("second", bench.top().join("first")).unwrap();
    let scene = Scene::on(bench.at("first/above/state"));
    let command = scene.command;
    let open = || UnixStream::connect(format!("{}/longhaul.sock", scene.bench.state().display())).unwrap();
    let mut connections: Vec<UnixStream> = (0..8).map(|_| open()).collect();
    fs::remove_file(second).unwrap();
    let body = r#"{"command":{"program":"true","directory":"/"}}"#;
    for connection in &mut connections {
        let head = "POST /v1/processes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
        // The manager may have exited already, so an error is ignored.
        let _ = write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    }
    for mut connection in connections {
        let mut answer = [0; 12];
        if connection.read_exact(&mut answer).is_ok() {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer.starts_with("HTTP/1.1 5"), "{answer}");
        }
    }
    scene.leaves();
    kill_process(command, Signal::KILL).unwrap();
}
