//! Tests of copying a shared store. The copy is refused while a node uses the store.

use crate::bench::{Bench, Said, until};
use rustix::process::Signal;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

#[test]
fn store_of_many_machines_is_copied_there_and_back_unless_a_node_is_there() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let url = server.url("team");
    let failed = bench.launch("exit 4");
    assert_eq!(bench.run(&["wait", &failed]).code, 4);
    let before = told_of(&bench, &failed);
    bench.end_manager(Signal::TERM);

    let copied = bench.run(&["--json", "store", "copy", "sqlite:", &url]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let reported: serde_json::Value = serde_json::from_str(&copied.out).unwrap();
    assert_eq!((&reported["processes"], &reported["compared"]), (&1.into(), &true.into()));
    assert_eq!(server.keys("team.copying"), 0);
    let taken = bench.run(&["store", "copy", "sqlite:", &url]);
    assert!(taken.code == 1 && taken.err.contains("already exists"), "{taken:?}");

    let config = format!("store = \"{url}&lease=1\"\n");
    let bench = bench.with_config(&config);
    assert_eq!(told_of(&bench, &failed), before);
    let more = bench.launch("exit 5");
    assert_eq!(bench.run(&["wait", &more]).code, 5);
    // The copy runs with another state directory, so that only the store itself shows that a node uses the store.
    let elsewhere = |words: &[&str]| {
        let mut command = bench.command(words);
        Said::of(command.env("LONGHAUL_STATE_DIR", bench.top().join("elsewhere")).output().unwrap())
    };
    let used = elsewhere(&["store", "copy", &url, "sqlite:"]);
    assert!(used.code == 6 && used.err.contains("is in use by a node"), "{used:?}");
    assert!(!bench.top().join("elsewhere/longhaul.db").exists());

    bench.end_manager(Signal::TERM);
    until("the copy is made", || {
        let back = elsewhere(&["store", "copy", &url, "sqlite:"]);
        assert!(back.code == 0 || back.err.contains("is in use by"), "{back:?}");
        assert!(back.code != 0 || back.out.contains("2 processes"), "{back:?}");
        back.code == 0
    });
    std::fs::remove_file(bench.top().join(".config/longhaul/config.toml")).unwrap();
    let bench = {
        let place = bench.top().join("elsewhere");
        bench.with_state(place)
    };
    assert_eq!(bench.show(&more)["exit"]["code"], 5);
    assert_eq!(told_of(&bench, &failed), before);
    bench.end_manager(Signal::TERM);
}

#[test]
fn interrupted_copy_into_a_shared_store_is_removed_and_reported() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    bench.launch("true");
    bench.end_manager(Signal::TERM);
    server.ask(&["SET", "lh:{team.copying}:p:x", "left"]);
    server.ask(&["SET", "lh:{team}:free", "of another program"]);
    let said = bench.run(&["store", "copy", &server.url("none"), "fs:x"]);
    assert!(said.code == 1 && said.err.contains("does not exist"), "{said:?}");
    assert_eq!(server.keys("none"), 0);
    let said = bench.run(&["store", "copy", "sqlite:", &server.url("team")]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("which an interrupted copy had left"), "{}", said.out);
    assert_eq!(server.keys("team.copying"), 0);
    assert!(server.ask(&["EXISTS", "lh:{team}:p:x"]).contains('0'));
}

#[test]
fn outbox_of_another_store_is_not_reported_as_damage() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let bench = bench.with_config(&format!("store = \"{}\"\n", server.url("one")));
    let waits = bench.run(&["run", "-b", "--delay", "1h", "--", "true"]);
    assert_eq!(waits.code, 0, "{waits:?}");
    bench.end_manager(Signal::TERM);
    let bench = bench.with_config(&format!("store = \"{}\"\n", server.url("two")));
    let said = bench.run(&["status"]);
    assert!(said.code == 6 && !said.err.contains("damaged"), "{said:?}");
    for part in [waits.out.trim(), "namespace=one", "until its processes have ended", "outbox.sqlite away"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    assert_eq!(server.keys("two"), 0);
}

/// Returns the process view without the log path, because this path depends on the state directory.
fn told_of(bench: &Bench, id: &str) -> serde_json::Value {
    let mut reported = bench.show(id);
    reported["log_path"].take();
    reported
}

pub(crate) struct Server {
    process: Child,
    socket: std::path::PathBuf,
}

impl Server {
    /// Starts a Redis server without persistence. If `redis-server` is not installed, returns `None`, or fails in CI.
    pub(crate) fn start(bench: &Bench) -> Option<Self> {
        let socket = bench.top().join("redis");
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .current_dir(bench.top())
            .stdout(Stdio::null())
            .spawn();
        match started {
            Ok(process) => {
                until("the server starts", || UnixStream::connect(&socket).is_ok());
                Some(Self { process, socket })
            }
            Err(error) => {
                assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "redis-server: {error}");
                eprintln!("ignored: redis-server: {error}");
                None
            }
        }
    }

    pub(crate) fn url(&self, namespace: &str) -> String {
        format!("redis+unix://{}?namespace={namespace}&durability=cache", self.socket.display())
    }

    fn keys(&self, namespace: &str) -> usize {
        self.ask(&["KEYS", &format!("lh:{{{namespace}}}:*")]).split_whitespace().count()
    }

    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let asked = Command::new("redis-cli").arg("-s").arg(&self.socket).args(words).output().unwrap();
        String::from_utf8(asked.stdout).unwrap()
    }

    pub(crate) fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
