//! Tests of nodes during an outage of the shared store, and after the shared store has lost data.

use crate::bench::{Bench, is_alive, until};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Maximum response time while the nodes have detected an outage of the store, generous for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);
/// Time after which a test that is still waiting for a condition prints the state of both nodes.
const REPORT_DELAY: Duration = Duration::from_secs(10);
/// Maximum number of lines that all managers together may log about one loss of data.
const FEW_LINES: usize = 40;

#[test]
fn node_shows_and_stops_its_own_processes_while_the_store_is_unreachable() {
    let place = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(place.path()) else { return };
    let a = server.node("a");
    let stopped = a.launch("echo words; exec sleep 300");
    let lives = a.launch("exec sleep 300");
    until("both run", || [&stopped, &lives].iter().all(|id| a.show(id)["status"] == "running"));
    until("the command has written output", || a.run(&["logs", &stopped]).out.contains("words"));
    let pid = pid_of(&a, &stopped);

    server.stop();
    until("the outage is known", || a.show(&lives)["stale_since"].is_string());
    let (refused, took) = timed(|| a.run(&["run", "-b", "--", "true"]));
    assert!(refused.code == 6 && took < AT_ONCE, "{took:?} {refused:?}");
    assert!(refused.err.contains("store_unavailable"), "{refused:?}");
    let (listed, took) = timed(|| a.run(&["--json", "status"]));
    assert!(listed.code == 0 && took < AT_ONCE, "{took:?} {listed:?}");
    let document: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(document["processes"].as_array().unwrap().len(), 2, "{document}");
    assert!(document["stale_since"].is_string(), "{document}");
    let said = a.run(&["status"]);
    assert!(said.code == 0 && said.err.contains("the store has not answered since"), "{said:?}");
    let shown = a.show(&lives);
    assert_eq!(shown["status"], "running");
    assert!(shown["conditions"].as_array().unwrap().contains(&"stale".into()), "{shown}");
    let logs = a.run(&["logs", &stopped]);
    assert!(logs.code == 0 && logs.out.contains("words"), "{logs:?}");
    let elsewhere = a.run(&["inspect", "0199d3f0-6c1e-4b52-9f53-0d9a3c6f4e11"]);
    assert!(elsewhere.code == 6, "the process may belong to another node: {elsewhere:?}");
    let (reported, took) = timed(|| a.run(&["cancel", &stopped]));
    assert!(
        reported.code == 6 && took < AT_ONCE && reported.err.contains("received a stop request"),
        "{took:?} {reported:?}"
    );
    assert!(!reported.err.contains("nothing was changed"), "{reported:?}");
    until("the process is stopped", || !is_alive(pid));

    server.begin();
    until("a launch is accepted", || a.run(&["run", "-b", "--", "true"]).code == 0);
    until("the end is recorded", || a.show(&stopped)["status"] == "cancelled");
    let shown = a.show(&lives);
    assert_eq!((&shown["status"], &shown["stale_since"]), (&"running".into(), &Value::Null), "{shown}");
    a.run(&["cancel", "--force", &lives]);
}

#[test]
fn end_during_an_outage_is_shown_and_ends_waits() {
    let place = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(place.path()) else { return };
    let a = server.node("a");
    let release = place.path().join("go");
    let id = a.launch(&format!("until [ -e {} ]; do sleep 0.05; done; exit 4", release.display()));
    until("it runs", || a.show(&id)["status"] == "running");
    let before = a.log().lines().count();
    server.stop();
    until("the outage is known", || a.show(&id)["stale_since"].is_string());
    let mut wait = a.command(&["wait", &id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    fs::write(&release, "").unwrap();
    until("the wait ends", || wait.try_wait().unwrap().is_some());
    assert_eq!(wait.wait().unwrap().code(), Some(4));
    let shown = a.show(&id);
    assert_eq!((&shown["status"], &shown["exit"]["code"]), (&"failed".into(), &4.into()), "{shown}");
    assert!(shown["stale_since"].is_string(), "the end is not recorded yet: {shown}");

    server.begin();
    until("the store answers", || a.show(&id)["stale_since"].is_null());
    assert_eq!(a.show(&id)["status"], "failed", "a process that was shown once stays visible");
    let log = a.log();
    let reported: Vec<&str> = log.lines().skip(before).filter(|line| line.contains("the store ")).collect();
    assert!(reported.iter().any(|line| line.contains("the store stopped answering")), "{log}");
    assert!(reported.iter().any(|line| line.contains("the store answers again")), "{log}");
    let warned = log.lines().skip(before).filter(|line| line.contains("WARN")).count();
    assert!(warned < 10, "{warned} warnings of one outage: {log}");
}

#[test]
fn launch_runs_locally_while_the_store_is_unreachable_if_the_url_allows_it() {
    let place = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(place.path()) else { return };
    let (a, b) = (server.node_with("a", "&on_outage=run"), server.node("b"));
    let before = a.launch("exit 0");
    assert_eq!(a.run(&["wait", &before]).code, 0);
    let marks = place.path().join("marks");
    let mark = |then: &str| format!("echo $LONGHAUL_ID >> {}; {then}", marks.display());
    server.stop();
    until("the outage is known", || a.show(&before)["stale_since"].is_string());
    // Wait until the lease of the node has expired.
    std::thread::sleep(Duration::from_secs(3));
    let [fails, runs, stopped] =
        ["exit 3", "exec sleep 300", "exec sleep 300"].map(|then| a.launch(&mark(then)));
    assert_eq!(a.run(&["wait", &fails]).code, 3);
    until("both run", || [&runs, &stopped].iter().all(|id| a.show(id)["status"] == "running"));
    let shown = a.show(&runs);
    assert!(shown["conditions"].as_array().unwrap().contains(&"local_only".into()), "{shown}");
    assert!(shown["stale_since"].is_null(), "the shown state is correct: {shown}");
    assert_eq!(a.run(&["cancel", &stopped]).code, 0, "no other node has to be asked");
    for flags in [&["--key", "k"], &["--launch-key", "k"], &["--delay", "1s"]] {
        let refused = a.run(&[&["run", "-b"], flags as &[&str], &["--", "true"]].concat());
        assert!(
            refused.code == 6 && refused.err.contains("accepts only launches that do not affect other nodes"),
            "{refused:?}"
        );
    }
    assert_eq!(a.show(&stopped)["status"], "cancelled");
    let keyed = a.run(&["run", "-b", "--key", "gpu", "--", "true"]);
    assert!(
        keyed.code == 6 && keyed.err.contains("store_unavailable"),
        "a limit applies to all nodes: {keyed:?}"
    );
    let pid = pid_of(&a, &runs);
    a.end_manager(Signal::KILL);

    server.begin();
    let seen_by = |node: &Bench, id: &str| {
        let said = node.run(&["inspect", id]);
        serde_json::from_str::<Value>(&said.out).unwrap_or_default()
    };
    for (id, status) in [(&fails, "failed"), (&runs, "running"), (&stopped, "cancelled")] {
        until(&format!("{id} is {status} for both"), || {
            [&a, &b].iter().all(|node| seen_by(node, id)["status"] == status)
        });
    }
    assert_eq!(b.show(&fails)["exit_code"], 3);
    assert!(!a.show(&runs)["conditions"].as_array().unwrap().contains(&"local_only".into()));
    assert_eq!(pid_of(&a, &runs), pid);
    assert_eq!(b.run(&["cancel", "--force", &runs]).code, 0);
    until("the process is gone", || !is_alive(pid));
    let ran = fs::read_to_string(&marks).unwrap();
    assert_eq!(ran.lines().count(), 3, "each command ran once: {ran}");
}

#[test]
fn lost_records_of_an_emptied_namespace_are_restored_by_running_managers() {
    let place = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(place.path()) else { return };
    let (a, b) = (server.node("a"), server.node("b"));
    let work = Work::begun(&a, &b, place.path());
    let before: usize = [&a, &b].iter().map(|node| node.log().lines().count()).sum();
    let cursor = newest_cursor(&a);

    server.ask(&["FLUSHALL"]);
    work.is_there_again(&a, &b);
    let after: usize = [&a, &b].iter().map(|node| node.log().lines().count()).sum();
    assert!(after - before < FEW_LINES, "{} lines: {}\n{}", after - before, a.log(), b.log());
    let events = a.run(&["--json", "events", "--after", &format!("e-{cursor:x}")]);
    let given: Vec<&str> = events.out.lines().filter(|line| line.contains("PROCESS_RESTORED")).collect();
    assert!(work.ids().iter().all(|id| given.iter().any(|line| line.contains(id.as_str()))), "{events:?}");
    assert!(newest_cursor(&a) > cursor, "event cursors never go back");
    work.ends_well(&a, &b);
}

#[test]
fn waiting_process_during_a_restore_shows_the_reason_and_the_remaining_time() {
    let place = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(place.path()) else { return };
    let a = server.node("a");
    assert_eq!(a.run(&["status"]).code, 0);
    server.ask(&["FLUSHALL"]);
    until("the loss is noticed", || a.log().contains("for the duration of one lease"));
    let waits = a.launch("true");
    let reported = a.run(&["--json", "why", &waits]);
    let reported: Value = serde_json::from_str(&reported.out).unwrap();
    assert_eq!(reported["why"], "settling", "{reported}");
    for reason in [&reported["reason"], &a.show(&waits)["reason"]] {
        assert!(reason.as_str().unwrap().contains("no process starts for "), "{reason}");
    }
    let refused = a.run(&["run", "-b", "--no-queue", "--", "true"]);
    assert!(refused.err.contains("[no_slot]") && refused.err.contains("has lost data"), "{refused:?}");
    until("the process runs then", || a.show(&waits)["status"] == "completed");
    a.end_manager(Signal::TERM);
}

#[test]
fn later_records_are_restored_to_an_older_namespace() {
    let place = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(place.path()) else { return };
    let (a, b) = (server.node("a"), server.node("b"));
    let early = a.launch("sleep 2; exit 4");
    until("it runs", || a.show(&early)["status"] == "running");
    let dump = place.path().join("dump");
    copy(&server.directory, &dump);
    assert_eq!(a.run(&["wait", &early]).code, 4);
    let work = Work::begun(&a, &b, place.path());

    server.stop();
    fs::remove_dir_all(&server.directory).unwrap();
    fs::rename(&dump, &server.directory).unwrap();
    server.begin();
    work.is_there_again(&a, &b);
    until("ended processes stay ended", || a.show(&early)["exit_code"] == 4);
    work.ends_well(&a, &b);
}

#[test]
fn next_manager_restores_the_records_in_the_outbox_of_a_killed_manager() {
    let place = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(place.path()) else { return };
    let (a, b) = (server.node("a"), server.node("b"));
    let work = Work::begun(&a, &b, place.path());
    let last = a.launch(&format!("echo last >> {}; exec sleep 300", work.marks.display()));
    a.end_manager(Signal::KILL);
    server.ask(&["FLUSHALL"]);
    work.is_there_again(&a, &b);
    until("the last acknowledged launch is stored", || a.show(&last)["status"] == "running");
    assert_eq!(a.run(&["cancel", "--force", &last]).code, 0);
    work.ends_well(&a, &b);
}

/// Measures how long launches take and prints the result. There is no limit at which the test would fail.
#[test]
#[ignore = "it measures"]
fn measure_the_cost_of_a_launch() {
    let place = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(place.path()) else { return };
    let a = server.node("a");
    a.launch("true");
    let mut took: Vec<Duration> = (0..100).map(|_| timed(|| a.launch("true")).1).collect();
    took.sort_unstable();
    eprintln!("a launch through the program: median {:?}, 95 in 100 {:?}", took[50], took[95]);
}

/// Processes of two nodes in various states. Each command writes one line to a file when the command runs.
struct Work {
    failed: String,
    runs: String,
    holds: String,
    waits: String,
    beyond: String,
    pids: [Pid; 2],
    marks: PathBuf,
}

impl Work {
    fn begun(a: &Bench, b: &Bench, place: &Path) -> Self {
        let marks = place.join("marks");
        let line = |what: &str, then: &str| format!("echo {what} >> {}; {then}", marks.display());
        let failed = a.launch(&line("failed", "exit 3"));
        let runs = a.launch(&line("runs", "exec sleep 300"));
        let behind = |what: &str, then: &str| {
            let said = a.run(&["run", "-b", "--key", "one", "--", "sh", "-c", &line(what, then)]);
            assert_eq!(said.code, 0, "{said:?}");
            said.out.trim().to_owned()
        };
        assert_eq!(a.run(&["queue", "one", "--limit", "1"]).code, 0);
        let holds = behind("holds", "exec sleep 300");
        let waits = behind("waits", "exit 5");
        let beyond = b.launch(&line("beyond", "exec sleep 300"));
        assert_eq!(a.run(&["wait", &failed]).code, 3);
        until("all states are as expected", || {
            let stands = |node: &Bench, id: &str| node.show(id)["status"].as_str().unwrap().to_owned();
            [stands(a, &runs), stands(a, &holds), stands(b, &beyond)] == ["running", "running", "running"]
                && stands(a, &waits) == "pending"
        });
        let pids = [pid_of(a, &runs), pid_of(b, &beyond)];
        Self { failed, runs, holds, waits, beyond, pids, marks }
    }

    fn ids(&self) -> [&String; 5] {
        [&self.failed, &self.runs, &self.holds, &self.waits, &self.beyond]
    }

    /// Waits until both nodes again show all processes with the status that these had before.
    fn is_there_again(&self, a: &Bench, b: &Bench) {
        let expected = [
            (&self.failed, "failed"),
            (&self.runs, "running"),
            (&self.holds, "running"),
            (&self.waits, "pending"),
            (&self.beyond, "running"),
        ];
        for (id, status) in expected {
            let begun = Instant::now();
            until(&format!("{id} is {status} again"), || {
                let said = [a, b].map(|node| node.run(&["inspect", id]));
                let is_so = said.iter().all(|said| {
                    let shown: Value = serde_json::from_str(&said.out).unwrap_or_default();
                    shown["status"] == status
                });
                if !is_so && begun.elapsed() > REPORT_DELAY {
                    eprintln!("{said:?}\n{}\n{}", a.log(), b.log());
                    std::thread::sleep(REPORT_DELAY);
                }
                is_so
            });
        }
        assert_eq!(a.show(&self.failed)["exit_code"], 3);
        assert_eq!(pid_of(a, &self.runs), self.pids[0], "the command is the one that ran before");
        assert_eq!(pid_of(b, &self.beyond), self.pids[1]);
    }

    /// Checks that new processes run, that the waiting process has run once, and that no command has run twice.
    fn ends_well(&self, a: &Bench, b: &Bench) {
        let late = until_launched(b, "exit 6");
        assert_eq!(b.run(&["wait", &late]).code, 6);
        assert_eq!(a.run(&["cancel", "--force", &self.holds]).code, 0);
        assert_eq!(a.run(&["wait", &self.waits]).code, 5, "the limit holds: {:?}", a.show(&self.waits));
        assert_eq!(b.run(&["cancel", "--force", &self.runs]).code, 0, "from the other node");
        assert_eq!(a.run(&["cancel", "--force", &self.beyond]).code, 0);
        until("all has ended", || !self.pids.iter().any(|pid| is_alive(*pid)));
        let marks = fs::read_to_string(&self.marks).unwrap();
        for what in ["failed", "runs", "holds", "waits", "beyond"] {
            assert_eq!(marks.lines().filter(|line| *line == what).count(), 1, "{marks}");
        }
    }
}

fn until_launched(node: &Bench, line: &str) -> String {
    let mut id = None;
    until("launches are accepted again", || {
        let said = node.run(&["run", "-b", "--", "sh", "-c", line]);
        id = (said.code == 0).then(|| said.out.trim().to_owned());
        id.is_some()
    });
    id.unwrap()
}

fn pid_of(node: &Bench, id: &str) -> Pid {
    Pid::from_raw(i32::try_from(node.show(id)["pid"].as_i64().unwrap()).unwrap()).unwrap()
}

fn newest_cursor(node: &Bench) -> u64 {
    let said = node.run(&["--json", "events", "--after", "start"]);
    let events = said.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let cursors = events.filter_map(|event| cursor_of(&event));
    cursors.max().expect("there are events")
}

fn cursor_of(event: &Value) -> Option<u64> {
    u64::from_str_radix(event["cursor"].as_str()?.strip_prefix("e-")?, 16).ok()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// A Redis server that stores each acknowledged write in a directory. The directory outlives the server process.
struct Server {
    process: Option<Child>,
    socket: PathBuf,
    directory: PathBuf,
}

impl Server {
    /// Starts the server. If `redis-server` is not installed, returns `None`, or fails in CI.
    fn start(place: &Path) -> Option<Self> {
        let directory = place.join("redis");
        fs::create_dir(&directory).unwrap();
        let mut server = Self { process: None, socket: place.join("socket"), directory };
        match server.spawn() {
            Ok(()) => Some(server),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "redis-server: {error}");
                eprintln!("ignored: redis-server: {error}");
                None
            }
        }
    }

    fn spawn(&mut self) -> std::io::Result<()> {
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(&self.directory)
            .arg("--unixsocket")
            .arg(&self.socket)
            .stdout(Stdio::null())
            .spawn()?;
        self.process = Some(started);
        until("the server answers", || {
            UnixStream::connect(&self.socket).is_ok() && self.ask(&["PING"]).contains("PONG")
        });
        Ok(())
    }

    fn begin(&mut self) {
        self.spawn().unwrap();
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts a manager with this node name.
    fn node(&self, name: &str) -> Bench {
        self.node_with(name, "")
    }

    /// Starts a manager with this node name and additional query parameters in its store URL.
    fn node_with(&self, name: &str, more: &str) -> Bench {
        let url = format!("redis+unix://{}?namespace=team&lease=2&grace=4{more}", self.socket.display());
        // All nodes of the cluster share one key.
        let key = self.socket.with_file_name("cluster.key");
        let key = key.display();
        let config = format!("store = \"{url}\"\nnode.id = \"{name}\"\ncluster_key = \"{key}\"\n");
        let bench = Bench::new().with_config(&config);
        let said = bench.run(&["status"]);
        assert_eq!(said.code, 0, "{said:?}");
        bench
    }

    fn ask(&self, words: &[&str]) -> String {
        let asked = Command::new("redis-cli").arg("-s").arg(&self.socket).args(words).output().unwrap();
        String::from_utf8(asked.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
