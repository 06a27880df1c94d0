//! Tests that two state directories cannot use the same node name at the same time.

use crate::bench::{Bench, Said, until};
use crate::shared_store::Server;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};

#[test]
fn second_state_directory_under_a_name_that_is_taken_is_refused() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let bench = bench.with_config(&format!("store = \"{}&lease=30\"\n", server.url("team")));
    let id = bench.launch("until [ -e go ]; do sleep 0.05; done; exit 5");
    until("it runs", || bench.show(&id)["status"] == "running");
    let mut elsewhere = at(&bench, "elsewhere", &["status"]);
    let said = Said::of(elsewhere.output().unwrap());
    assert_eq!(said.code, 6, "{said:?}");
    for part in ["node_name_taken", "is in use by the state directory ", " ms ago", "node.id"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    assert_eq!(bench.show(&id)["status"], "running");
    bench.end_manager(Signal::KILL);
    assert_eq!(bench.show(&id)["status"], "running", "the same directory is back at once");

    bench.end_manager(Signal::TERM);
    let said = Said::of(at(&bench, "elsewhere", &["status"]).output().unwrap());
    assert_eq!(said.code, 6, "{said:?}");
    for part in ["node_name_taken", "1 process has not ended", "longhaul node forget"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    assert_eq!(bench.show(&id)["status"], "running", "the running processes there were not changed");
    std::fs::write(bench.top().join("go"), "").unwrap();
    assert_eq!(bench.run(&["wait", &id]).code, 5);
    bench.end_manager(Signal::TERM);

    let bench = bench.at("elsewhere");
    assert_eq!(bench.run(&["status"]).code, 0, "a released name is free");
}

#[test]
fn manager_whose_node_name_was_taken_after_its_lease_exits_and_its_processes_continue() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let bench = bench.with_config(&format!("store = \"{}&lease=1&grace=1\"\n", server.url("team")));
    let mut old = Serving(bench.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap());
    until("it serves", || bench.state().join("longhaul.sock").exists());
    let id = bench.launch("until [ -e go ]; do sleep 0.05; done; echo whole > came");
    until("it runs", || bench.show(&id)["status"] == "running");
    let pid = Pid::from_child(&old.0);
    kill_process(pid, Signal::STOP).unwrap();
    let _new = Serving(loop {
        let mut new = at(&bench, "elsewhere", &["serve"]).stderr(Stdio::null()).spawn().unwrap();
        let socket = bench.top().join("elsewhere/longhaul.sock");
        until("the manager serves or leaves", || socket.exists() || new.try_wait().unwrap().is_some());
        if new.try_wait().unwrap().is_none() {
            break new;
        }
    });
    kill_process(pid, Signal::CONT).unwrap();
    until("the older one leaves", || old.0.try_wait().unwrap().is_some());
    let said = Said::of(old.output());
    assert_eq!(said.code, 8, "{said:?}");
    assert!(said.err.contains("node_name_taken") && said.err.contains("node.id"), "{}", said.err);
    std::fs::write(bench.top().join("go"), "").unwrap();
    until("the command continued", || bench.top().join("came").exists());
}

/// Returns a command that runs the program with another state directory.
fn at(bench: &Bench, name: &str, words: &[&str]) -> Command {
    let mut command = bench.command(words);
    command.env("LONGHAUL_STATE_DIR", bench.top().join(name));
    command
}

/// A manager that is killed at the end of the test.
struct Serving(Child);

impl Serving {
    fn output(&mut self) -> std::process::Output {
        let mut stderr = Vec::new();
        std::io::Read::read_to_end(self.0.stderr.as_mut().unwrap(), &mut stderr).unwrap();
        std::process::Output { status: self.0.wait().unwrap(), stdout: Vec::new(), stderr }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
