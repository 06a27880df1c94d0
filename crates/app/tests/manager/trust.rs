//! Tests that write access to the shared store is not sufficient to run commands.

use crate::bench::{Bench, Said, until};
use crate::shared_store::Server;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Two nodes that share one namespace and one cluster key.
struct Nodes {
    a: Bench,
    b: Bench,
    server: Server,
}

impl Nodes {
    fn new() -> Option<Self> {
        let (a, b) = (Bench::new(), Bench::new());
        let server = Server::start(&a)?;
        let key = a.top().join("cluster.key");
        let (a, b) = (member(a, &server, "a", &key), member(b, &server, "b", &key));
        Some(Self { a, b, server })
    }

    /// Changes the stored spec that contains the text `marked`, as an attacker with write access to the Redis server
    /// could. The Lua code `script` returns the new spec.
    fn forge(&self, marked: &str, script: &str, words: &[&str]) {
        let script = format!(
            "local changed = 0 \
             for _, key in ipairs(redis.call('KEYS', 'lh:{{team}}:b:*')) do \
               local spec = redis.call('HGET', key, 'spec') \
               if string.find(spec, ARGV[1], 1, true) then \
                 redis.call('HSET', key, 'spec', (function() {script} end)()) changed = changed + 1 \
               end \
             end return changed"
        );
        let mut all = vec!["EVAL", &script, "0", marked];
        all.extend(words);
        assert_eq!(self.server.ask(&all).trim(), "1");
    }

    fn end(&self) {
        for bench in [&self.a, &self.b] {
            bench.end_manager(Signal::TERM);
        }
    }
}

fn member(bench: Bench, server: &Server, name: &str, key: &Path) -> Bench {
    let (url, key) = (server.url("team"), key.display());
    bench.with_config(&format!("store = \"{url}\"\ncluster_key = \"{key}\"\nnode.id = \"{name}\"\n"))
}

/// Launches a shell script that starts after a delay of one second.
fn later(bench: &Bench, line: &str) -> String {
    let said = bench.run(&["run", "-b", "--delay", "1s", "--retry", "3", "--", "sh", "-c", line]);
    assert_eq!(said.code, 0, "{said:?}");
    said.out.trim().to_owned()
}

/// Launches a shell script that waits in the queue of the key `gate` until a call of [`hold`] releases this queue.
fn held(bench: &Bench, line: &str) -> String {
    let said = bench.run(&["run", "-b", "--key", "gate", "--retry", "3", "--", "sh", "-c", line]);
    assert_eq!(said.code, 0, "{said:?}");
    said.out.trim().to_owned()
}

/// Holds or releases the queue in which the scripts that [`held`] launches are waiting.
fn hold(bench: &Bench, flag: &str) {
    let said = bench.run(&["queue", "gate", flag]);
    assert_eq!(said.code, 0, "{said:?}");
}

fn ended(bench: &Bench, id: &str) -> serde_json::Value {
    until("it ends", || !bench.show(id)["completed_at"].is_null());
    bench.show(id)
}

#[test]
fn launch_that_was_changed_in_the_server_is_never_executed_and_inspect_shows_why() {
    let Some(nodes) = Nodes::new() else { return };
    let Nodes { a, b, .. } = &nodes;
    let marks = a.top().join("marks");
    fs::create_dir(&marks).unwrap();
    let line = |mark: &str| format!("touch {}/{mark}", marks.display());
    hold(a, "--hold");
    let changed = held(a, &line("innocent"));
    let unsealed = held(b, &line("unsealed"));
    let moved = held(b, &line("moved"));
    let lured = held(b, &line("lured"));
    let fine = held(a, &line("fine"));
    nodes.forge("innocent", "return (string.gsub(spec, ARGV[1], ARGV[2]))", &["stolen"]);
    nodes.forge("unsealed", "return (string.gsub(spec, '\"signature\":\"[^\"]*\",', ''))", &[]);
    nodes.forge("moved", "return (string.gsub(spec, '\"node\":\"b\"', '\"node\":\"a\"'))", &[]);
    // The queue entry names a placement that differs from the placement in the record.
    let lure = "redis.call('HSET', (string.gsub(key, ':b:', ':p:', 1)), 'class', '@a') return spec";
    nodes.forge("lured", lure, &[]);
    hold(a, "--release");
    let refused = [
        (&changed, "was changed"),
        (&unsealed, "has no signature"),
        (&moved, "was changed"),
        (&lured, "for other nodes, not for a"),
    ];
    for (id, why) in refused {
        let reported = ended(b, id);
        assert_eq!((&reported["status"], &reported["attempt"]), (&"failed".into(), &1.into()), "{reported}");
        assert_eq!(reported["start_failure"]["stage"], "signature", "{reported}");
        assert!(reported["error"].as_str().unwrap().contains(why), "{reported}");
    }
    assert_eq!(ended(b, &fine)["status"], "completed");
    let left: Vec<_> = fs::read_dir(&marks).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["fine"]);
    assert!(a.log().contains("rejected a launch that is not trusted"), "{}", a.log());
    // Both nodes also refuse a restart of the process.
    for bench in [a, b] {
        let said = bench.run(&["restart", &changed]);
        assert!(said.code != 0 && said.err.contains("[launch_not_trusted]"), "{said:?}");
    }
    nodes.end();
}

#[test]
fn launch_with_a_foreign_or_replayed_signature_is_not_executed() {
    let Some(nodes) = Nodes::new() else { return };
    let Nodes { a, b, server } = &nodes;
    let runs = a.top().join("runs");
    let count = || fs::read_to_string(&runs).unwrap_or_default().lines().count();
    let line = format!("echo played >> {}", runs.display());
    let played = a.launch(&line);
    ended(a, &played);
    assert_eq!(count(), 1);
    // An attacker signs a launch for node `a` with another key and replaces a waiting launch with it.
    let foreign = Bench::new();
    let foreign = {
        let url = server.url("evil");
        foreign.with_config(&format!("store = \"{url}\"\nnode.id = \"a\"\n"))
    };
    let said = foreign.run(&[
        "run",
        "-b",
        "--delay",
        "1h",
        "--",
        "sh",
        "-c",
        &format!("touch {}/evil", a.top().display()),
    ]);
    let evil = said.out.trim().to_owned();
    let spec = server.ask(&[
        "EVAL",
        "return redis.call('HGET', redis.call('KEYS', 'lh:{evil}:b:*')[1], 'spec')",
        "0",
    ]);
    hold(a, "--hold");
    let victim = held(b, "true # victim");
    let mine = held(a, "true # place");
    let put = spec.trim_end().replace(&evil, &mine);
    nodes.forge("# place", "return ARGV[2]", &[&put]);
    // An attacker replaces the record of a waiting process with the validly signed record of an old process.
    let old = server.ask(&[
        "EVAL",
        "for _, key in ipairs(redis.call('KEYS', 'lh:{team}:b:*')) do \
           local spec = redis.call('HGET', key, 'spec') \
           if string.find(spec, 'echo played', 1, true) then return spec end \
         end",
        "0",
    ]);
    nodes.forge("# victim", "return ARGV[2]", &[&old.trim_end().replace(&played, &victim)]);
    hold(a, "--release");
    let reported = ended(a, &mine);
    assert!(reported["error"].as_str().unwrap().contains("does not have"), "{reported}");
    let reported = ended(b, &victim);
    assert_eq!(reported["start_failure"]["stage"], "signature", "{reported}");
    assert_eq!(count(), 1);
    assert!(!a.top().join("evil").exists());
    foreign.end_manager(Signal::TERM);
    nodes.end();
}

#[test]
fn node_with_another_key_fails_to_start_and_creates_no_key() {
    let Some(nodes) = Nodes::new() else { return };
    let Nodes { a, b, server } = &nodes;
    assert_eq!(a.run(&["status"]).code, 0);
    let key = a.top().join("cluster.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600);
    let shown = a.run(&["store", "key"]);
    let signing = shown.out.split(' ').next().unwrap().to_owned();
    let secret = fs::read_to_string(&key).unwrap().split_whitespace().nth(2).unwrap().to_owned();
    assert!(shown.out.contains(key.to_str().unwrap()) && !shown.out.contains(&secret), "{shown:?}");
    assert_eq!(server.ask(&["HGET", "lh:{team}:meta", "key"]).trim(), signing);
    let with = |path: &Path, words: &[&str]| {
        Said::of(b.command(words).env("LONGHAUL_CLUSTER_KEY", path).output().unwrap())
    };
    let absent = b.top().join("other/cluster.key");
    let said = with(&absent, &["status"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains(&signing) && said.err.contains("uses none"), "{said:?}");
    assert!(said.err.contains("copy the key file from another node"), "{said:?}");
    assert!(!absent.exists());
    fs::create_dir(b.top().join("other")).unwrap();
    fs::write(&absent, fs::read_to_string(&key).unwrap()).unwrap();
    let said = with(&absent, &["status"]);
    assert!(said.code == 6 && said.err.contains("chmod 600"), "{said:?}");
    fs::set_permissions(&absent, fs::Permissions::from_mode(0o600)).unwrap();
    // The cluster key is rotated on one node. The other node needs the new key file before its next start.
    let rotated = a.run(&["--json", "store", "key", "--rotate"]);
    let rotated: serde_json::Value = serde_json::from_str(&rotated.out).unwrap();
    assert_eq!(rotated["trusted"], signing.as_str());
    a.end_manager(Signal::TERM);
    assert_eq!(a.run(&["status"]).code, 0);
    let said = with(&absent, &["status"]);
    assert!(said.code == 6 && said.err.contains(rotated["signing"].as_str().unwrap()), "{said:?}");
    fs::copy(&key, &absent).unwrap();
    assert_eq!(with(&absent, &["status"]).code, 0);
    nodes.end();
}

#[test]
fn key_that_signed_waiting_launches_is_not_removed_without_confirmation() {
    let Some(nodes) = Nodes::new() else { return };
    let Nodes { a, b, .. } = &nodes;
    let said = a.run(&["run", "-b", "--delay", "1h", "--", "true"]);
    assert_eq!(said.code, 0, "{said:?}");
    let waits = said.out.trim().to_owned();
    let old = a.run(&["store", "key"]).out.split(' ').next().unwrap().to_owned();
    assert_eq!(a.run(&["store", "key", "--rotate"]).code, 0);
    a.end_manager(Signal::TERM);
    assert_eq!(a.run(&["status"]).code, 0);
    let refused = a.run(&["store", "key", "--retire"]);
    assert!(refused.code == 2 && refused.err.contains("1 process has not ended"), "{refused:?}");
    assert!(refused.err.contains(&old), "{refused:?}");
    let doctor = b.run(&["doctor"]);
    assert!(
        doctor.out.contains(&format!(
            "{old} is still needed, because it signed unfinished launches: 1 process has"
        )),
        "{doctor:?}"
    );
    assert!(b.run(&["store", "key"]).out.contains(&old), "nothing was changed");
    assert_eq!(a.run(&["cancel", &waits]).code, 0);
    assert_eq!(a.run(&["store", "key", "--retire"]).code, 0);
    assert!(!b.run(&["store", "key"]).out.contains(&old));
    a.end_manager(Signal::TERM);
}

#[test]
fn current_key_of_the_store_is_not_removed_even_with_confirmation() {
    let Some(nodes) = Nodes::new() else { return };
    let Nodes { a, b, server } = &nodes;
    assert_eq!(a.run(&["status"]).code, 0);
    let named = || server.ask(&["HGET", "lh:{team}:meta", "key"]).trim().to_owned();
    let old = named();
    assert_eq!(a.run(&["store", "key", "--rotate"]).code, 0);
    for words in [&["store", "key", "--retire"][..], &["store", "key", "--retire", "--yes"]] {
        let refused = a.run(words);
        assert!(refused.code == 2 && refused.err.contains("[key_in_use]"), "{refused:?}");
        assert!(refused.err.contains(&old) && refused.err.contains("restart the managers"), "{refused:?}");
    }
    // The old key is still in the key file, so managers can start. The first manager that starts records the new key in
    // the store.
    a.end_manager(Signal::TERM);
    assert_eq!(b.run(&["status"]).code, 0);
    assert_ne!(named(), old);
    assert_eq!(a.run(&["store", "key", "--retire"]).code, 0);
    assert_eq!(a.run(&["status"]).code, 0);
    nodes.end();
}

#[test]
fn waiting_launches_of_a_local_store_are_signed_by_a_copy_and_then_run() {
    let bench = Bench::new();
    let Some(server) = Server::start(&bench) else { return };
    let mark = bench.top().join("mark");
    let waiting = later(&bench, &format!("touch {}", mark.display()));
    bench.end_manager(Signal::TERM);
    let url = server.url("team");
    let copied = bench.run(&["store", "copy", "sqlite:", &url]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let bench = bench.with_config(&format!("store = \"{url}\"\n"));
    assert_eq!(ended(&bench, &waiting)["status"], "completed");
    assert!(mark.exists());
    bench.end_manager(Signal::TERM);
}
