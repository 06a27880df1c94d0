//! A manager that is killed repeatedly during its recovery must still record every fact exactly once.

use crate::socket::{configure, ids, json_of};
use longhaul_tests::{Home, until};
use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Number of times that the manager is killed during its startup.
const KILLS: u32 = 20;
/// Minimum duration of a start over which the moments of the kills are spread. The measured duration is used if it is
/// longer.
const MIN_SPAN: Duration = Duration::from_millis(60);
/// First command of each script. It writes a line, so that a second start is detected.
const BEGIN: &str = "echo $LONGHAUL_ID >> begun";
/// Shell command that waits for the gate in most scripts. The long interval keeps the processor load low.
const GATED: &str = "while [ ! -e go ]; do sleep 0.2; done";
const RUNNING: i32 = 15;
const WAITING: i32 = 9;
/// Numbers of the kills before which a process ends. The last of these processes frees the slot for a waiting process.
/// It does so late, because the manager would give up a start that kills prevent too often.
const ENDS_BEFORE: [u32; 3] = [1, 8, 17];

/// A process and its expected exit code.
struct Work {
    id: String,
    code: i32,
}

/// The processes of the test: several of every kind.
struct TestProcesses {
    running: Vec<Work>,
    /// A parent and its children.
    tree: Vec<Work>,
    paused: Work,
    /// Processes that each wait for a file of their own, and end between the kills.
    meanwhile: Vec<Work>,
    /// Processes that wait for the slot that the last process in `meanwhile` holds.
    waiting: Vec<Work>,
}

#[test]
fn manager_killed_twenty_times_while_it_recovers_loses_nothing_and_starts_nothing_twice() {
    for store in ["sqlite", "fs"] {
        let home = Home::new();
        let place = home.state().with_file_name("db");
        let limits = "[limits]\nmax_parallel = 40\n[keys]\nlimit = { q = 1 }\n";
        configure(&home, &format!("store = \"{store}:{}\"\n{limits}", place.display()));
        let processes = TestProcesses::launch(&home);
        let live: Vec<&Work> = processes.live().collect();
        let pids: Vec<u32> = live.iter().map(|work| home.pid(&work.id)).collect();

        home.end_manager("-KILL");
        kill_while_it_recovers(&home);
        let adopted: Vec<u32> = live.iter().map(|work| home.pid(&work.id)).collect();
        assert_eq!(adopted, pids, "{store}: exactly these were adopted");
        assert_eq!(home.status(&processes.paused.id), "paused", "{store}");
        for work in &processes.meanwhile {
            assert_eq!(ending(&home, &work.id), work.code, "{store}: {}", home.record(&work.id));
        }
        let follows = &processes.waiting[0].id;
        home.until_status(follows, "running");
        assert_eq!(home.run(&["resume", &processes.paused.id]).code, 0);
        home.open_gate();
        processes.check(&home, store);
    }
}

/// Starts the manager again and again, and kills it each time. The moments of the kills are spread evenly over the
/// duration of a start.
fn kill_while_it_recovers(home: &Home) {
    let begun = Instant::now();
    let first = serve(home);
    until("the manager accepts connections", || UnixStream::connect(home.state().join("longhaul.sock")).ok());
    let span = begun.elapsed().max(MIN_SPAN);
    end(first);
    for kill in 0..KILLS {
        if ENDS_BEFORE.contains(&kill) {
            std::fs::write(home.work().join(format!("end-{kill}")), "").unwrap();
        }
        let manager = serve(home);
        // Sleep until the moment of the kill, which is the tested variable. This does not wait for an event.
        sleep(span * kill / KILLS);
        end(manager);
    }
}

fn serve(home: &Home) -> Child {
    home.command(&["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut manager: Child) {
    manager.kill().unwrap();
    manager.wait().unwrap();
}

/// Waits for a process and returns its exit code, or a different code if its exit was not observed.
fn ending(home: &Home, id: &str) -> i32 {
    home.run(&["wait", "--timeout", "30s", id]).code
}

impl Work {
    fn launch(home: &Home, code: i32, options: &[&str], until: &str) -> Self {
        let script = format!("{BEGIN}; {until}; exit {code}");
        let id = home.ok(&[&["run", "-b"], options, &["--", "sh", "-c", &script]].concat());
        Self { id, code }
    }
}

impl TestProcesses {
    fn launch(home: &Home) -> Self {
        let running = (0..RUNNING).map(|nth| Work::launch(home, 1 + nth, &[], GATED)).collect();
        let root = Work::launch(home, 30, &[], GATED);
        let below = ["--parent", root.id.as_str()];
        let children = [31, 32].map(|code| Work::launch(home, code, &below, GATED));
        let tree = std::iter::once(root).chain(children).collect();
        let paused = Work::launch(home, 33, &[], GATED);
        let keys: [&[&str]; 3] = [&[], &[], &["--key", "q"]];
        let meanwhile = (40..).zip(ENDS_BEFORE).zip(keys);
        let meanwhile = meanwhile
            .map(|((code, kill), key)| {
                Work::launch(home, code, key, &format!("while [ ! -e end-{kill} ]; do sleep 0.1; done"))
            })
            .collect();
        let waiting = (0..WAITING).map(|nth| Work::launch(home, 50 + nth, &["--key", "q"], GATED)).collect();
        let processes = Self { running, tree, paused, meanwhile, waiting };
        for work in processes.live().chain(&processes.meanwhile) {
            home.until_status(&work.id, "running");
        }
        assert_eq!(home.run(&["pause", &processes.paused.id]).code, 0);
        assert!(processes.waiting.iter().all(|work| home.status(&work.id) == "pending"));
        processes
    }

    /// Returns the processes that are running during all kills.
    fn live(&self) -> impl Iterator<Item = &Work> {
        self.running.iter().chain(&self.tree).chain([&self.paused])
    }

    fn all(&self) -> impl Iterator<Item = &Work> {
        self.live().chain(&self.meanwhile).chain(&self.waiting)
    }

    /// Checks that every process exists, ran one time, and has its correct ending, recorded one time.
    fn check(&self, home: &Home, store: &str) {
        for Work { id, code } in self.all() {
            assert_eq!(ending(home, id), *code, "{store}");
            let record = home.record(id);
            let reported = (record["status"].as_str(), record["exit_code"].as_i64());
            assert_eq!(reported, (Some("failed"), Some(i64::from(*code))), "{store}: {record}");
        }
        let known: BTreeSet<&str> = self.all().map(|work| work.id.as_str()).collect();
        let listed = ids(&json_of(home, &["status", "-a", "--json"]));
        assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), known, "{store}");
        let begun = std::fs::read_to_string(home.work().join("begun")).unwrap();
        assert_eq!(begun.lines().collect::<BTreeSet<_>>(), known, "{store}");
        assert_eq!(begun.lines().count(), known.len(), "{store}: a command started twice: {begun}");
        for event in ["PROCESS_STARTED", "PROCESS_FAILED"] {
            let reported = home.ok(&["events", "--after", "start", "--type", event, "--json"]);
            assert_eq!(reported.lines().count(), known.len(), "{store}: {event}: {reported}");
        }
    }
}
