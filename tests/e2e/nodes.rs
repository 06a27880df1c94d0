//! Tests of two managers that share one Redis server, as on two machines.

use longhaul_tests::{GATED, Home, Keeps, Redis, is_alive, kill, until, within};
use serde_json::Value;
use std::time::Duration;

/// URL parameters for the duration of a lease and of its grace period, in seconds.
pub(crate) const TIMES: &str = "lease=3&grace=2";
/// Time limit for a lease and its grace period to expire and for another node to detect the loss.
const LOST: Duration = Duration::from_secs(30);

/// Two nodes and the Redis server that they share.
pub(crate) struct Two {
    pub(crate) alpha: Home,
    pub(crate) beta: Home,
    redis: Redis,
    _ground: tempfile::TempDir,
}

impl Two {
    /// Starts both nodes.
    pub(crate) fn new() -> Option<Self> {
        Self::with_times(TIMES)
    }

    /// Starts both nodes with these URL parameters for the lease and its grace period.
    pub(crate) fn with_times(times: &str) -> Option<Self> {
        let ground = tempfile::Builder::new().prefix("lh-redis-").tempdir().unwrap();
        let redis = Redis::start(ground.path(), Keeps::Nothing)?;
        let url = format!("redis+unix://{}?durability=cache&{times}", redis.socket().display());
        // Give each node its own configuration directory.
        let key = redis.socket().with_file_name("cluster.key").display().to_string();
        let home = |id: &str, labels: &str| {
            let home = Home::new();
            let config = home.state().parent().unwrap().join("config/longhaul");
            std::fs::create_dir_all(&config).unwrap();
            let text = format!(
                "store = \"{url}\"\ncluster_key = \"{key}\"\n[node]\nid = \"{id}\"\nlabels = {labels}\n"
            );
            std::fs::write(config.join("config.toml"), text).unwrap();
            let _ = home.ok(&["status"]);
            home
        };
        let (alpha, beta) = (home("alpha", "[]"), home("beta", "[\"gpu\", \"os=linux\"]"));
        let two = Self { alpha, beta, redis, _ground: ground };
        until("both nodes are present", || (two.presence("alpha")? == "here").then_some(()));
        until("both nodes are present", || (two.presence("beta")? == "here").then_some(()));
        Some(two)
    }

    fn node(&self, id: &str) -> Option<Value> {
        let listing: Value = serde_json::from_str(&self.alpha.ok(&["node", "list", "--json"])).unwrap();
        listing["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).cloned()
    }

    fn presence(&self, id: &str) -> Option<String> {
        self.node(id)?["presence"].as_str().map(str::to_owned)
    }

    /// Launches a shell script through alpha. The script runs in the working directory of beta.
    pub(crate) fn launch(&self, place: &[&str], script: &str) -> String {
        let work = self.beta.work();
        let flags = ["-b", "-C", work.to_str().unwrap(), "--clear-env", "-e", "PATH"];
        let words = ["--", "sh", "-c", script];
        self.alpha.ok(&[&["run"], place, &flags, &words].concat())
    }

    fn node_of(&self, id: &str) -> Option<String> {
        self.alpha.record(id)["node_id"].as_str().map(str::to_owned)
    }
}

#[test]
fn work_runs_on_the_node_that_is_asked_for_and_is_cancelled_from_another() {
    let Some(two) = Two::new() else { return };
    let table = two.alpha.ok(&["node", "list"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert_eq!(two.node("beta").unwrap()["labels"], serde_json::json!(["gpu", "os=linux"]));
    let stamp = "echo run >> runs; exec sleep 60";
    let named = two.launch(&["--node", "beta"], stamp);
    two.alpha.until_status(&named, "running");
    let labelled = two.launch(&["--node-label", "gpu", "--node-label", "os=linux"], "sleep 60");
    two.alpha.until_status(&labelled, "running");
    for id in [&named, &labelled] {
        assert_eq!(two.node_of(id).as_deref(), Some("beta"));
    }
    two.beta.until_written("runs");
    let own = two.alpha.launch(&["sleep", "60"]);
    let listed = two.alpha.ok(&["status", "--node", "beta", "-o", "name"]);
    assert!(listed.contains(&named) && listed.contains(&labelled) && !listed.contains(&own), "{listed}");
    let pid = two.alpha.pid(&named);
    assert_eq!(two.alpha.run(&["cancel", &named]).code, 0);
    two.alpha.until_status(&named, "cancelled");
    until("its command has exited", || (!is_alive(pid)).then_some(()));
    let unplaceable = two.launch(&["--node-label", "none"], "true");
    let why = two.alpha.ok(&["why", &unplaceable, "--json"]);
    assert!(why.contains("no_node"), "{why}");
    let _ = two.alpha.run(&["cancel", "--all", "--force", "--yes"]);
}

#[test]
fn action_on_another_node_is_answered_when_it_is_executed() {
    let Some(two) = Two::new() else { return };
    let id = two.launch(&["--node", "beta"], "exec sleep 60");
    two.alpha.until_status(&id, "running");
    for (verb, status) in [("pause", "paused"), ("resume", "running"), ("pause", "paused")] {
        let reported = two.alpha.run(&[verb, &id]);
        assert!(reported.code == 0 && reported.err.contains(&format!("is {status}")), "{verb}: {reported:?}");
    }
    let answer: Value = serde_json::from_str(&two.alpha.ok(&["resume", &id, "--json"])).unwrap();
    assert_eq!((&answer["process"]["status"], &answer["changed"]), (&"running".into(), &true.into()));
    assert_eq!(answer["note"], Value::Null);
    // The `pause` command must return although the manager of the other node is stopped.
    let manager = two.beta.manager().unwrap();
    kill("-STOP", manager);
    let asked = two.alpha.run(&["pause", &id]);
    kill("-CONT", manager);
    assert!(
        asked.code == 0 && asked.err.contains("is still running: its node beta received the request"),
        "{asked:?}"
    );
    two.alpha.until_status(&id, "paused");
    let _ = two.alpha.run(&["cancel", "--force", &id]);
}

#[test]
fn nodes_that_keep_to_something_else_are_named_at_the_start_and_by_doctor() {
    let Some(two) = Two::new() else { return };
    let agreed = two.alpha.run(&["doctor"]).out;
    assert!(agreed.contains("redis.agreement         all nodes use"), "{agreed}");
    two.beta.end_manager("-TERM");
    let file = two.beta.state().parent().unwrap().join("config/longhaul/config.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("grace=2", "grace=7")).unwrap();
    let _ = two.beta.ok(&["status"]);
    let log = std::fs::read_to_string(two.beta.state().join("manager.log")).unwrap();
    let reported = log
        .lines()
        .find(|line| line.contains("node alpha uses other URL parameters than this node"))
        .unwrap();
    assert!(reported.contains("lease=3&grace=2") && reported.contains("lease=3&grace=7"), "{reported}");
    let reported = two.alpha.run(&["doctor"]).out;
    let row = reported.lines().find(|line| line.contains("redis.agreement")).unwrap();
    assert!(
        row.starts_with("warning") && row.contains("beta uses durability=cache&lease=3&grace=7"),
        "{row}"
    );
}

#[test]
fn damaged_records_are_named_by_lists_numbers_and_doctor() {
    let Some(two) = Two::new() else { return };
    let (sound, damaged) = (two.alpha.launch(&["true"]), two.alpha.launch(&["true"]));
    for id in [&sound, &damaged] {
        two.alpha.until_status(id, "completed");
    }
    let digits = damaged.replace('-', "");
    let spoil = format!(
        "local id = ('{digits}'):gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)
         return redis.call('HSET', 'lh:{{longhaul}}:b:' .. id, 'spec', '{{}}')"
    );
    two.redis.eval(&spoil);
    for words in [&["status", "-a"] as &[&str], &["stats"]] {
        let reported = two.beta.run(words);
        assert!(
            reported.code == 0 && reported.err.contains(&format!("1 ({damaged})")),
            "{words:?}: {reported:?}"
        );
        assert!(reported.err.contains("longhaul inspect"), "{words:?}: {reported:?}");
    }
    let numbers: Value = serde_json::from_str(&two.beta.ok(&["stats", "--json"])).unwrap();
    assert_eq!(numbers["damaged"], serde_json::json!([damaged]));
    assert_eq!(numbers["total"]["by_status"]["completed"], 1);
    let doctor = two.beta.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    let row = doctor.out.lines().find(|line| line.contains(" records ")).unwrap();
    assert!(
        row.starts_with("problem") && row.contains(&format!("1 of 2 records cannot be read: {damaged}")),
        "{row}"
    );
    let mut agent = crate::agent::Agent::connect(&two.beta, &[]);
    let all = serde_json::json!({ "filter_type": "all" });
    let listed = agent.call("list_background_processes", &all);
    assert_eq!(listed["damaged"], serde_json::json!([damaged]), "{listed}");
}

#[test]
fn launch_for_a_node_that_never_joined_is_refused_and_names_those_that_did() {
    let Some(two) = Two::new() else { return };
    for place in [&["-b"] as &[&str], &[]] {
        let flags = ["--node", "betta", "--clear-env", "--", "true"];
        let refused = two.alpha.run(&[&["run"], place, &flags].concat());
        assert_eq!((refused.code, refused.out.as_str()), (3, ""), "{refused:?}");
        assert!(
            refused.err.contains("[node_not_found]") && refused.err.contains("alpha, beta"),
            "{refused:?}"
        );
    }
    assert_eq!(two.alpha.ok(&["status", "-a", "-o", "name"]), "");
}

#[test]
fn record_of_a_process_on_another_node_has_no_local_details_of_its_output() {
    let Some(two) = Two::new() else { return };
    let id = two.launch(&["--node", "beta"], &format!("echo hey; : > said; {GATED}"));
    two.alpha.until_status(&id, "running");
    two.beta.until_written("said");
    let there = two.beta.record(&id);
    assert!(there["log_path"].is_string() && there["output_bytes"] == 4, "{there}");
    let here = two.alpha.record(&id);
    assert_eq!((&here["log_path"], &here["output_bytes"]), (&Value::Null, &Value::Null), "{here}");
    two.beta.open_gate();
    two.alpha.until_status(&id, "completed");
    let here = two.alpha.record(&id);
    assert_eq!((&here["log_path"], &here["output_bytes"]), (&Value::Null, &4.into()), "{here}");
    assert_eq!(here["conditions"], serde_json::json!([]), "{here}");
    let flags = ["--node", "beta", "--clear-env", "-C", "/nonexistent", "--", "/bin/true"];
    let failed = two.alpha.run(&[&["run"], &flags[..]].concat());
    assert!(failed.err.contains("could not be started on node beta: there is no directory"), "{failed:?}");
}

#[test]
fn process_that_may_run_on_another_node_captures_no_environment_and_no_directory() {
    let Some(two) = Two::new() else { return };
    let refused = two.alpha.run(&["run", "-b", "--node", "beta", "--", "true"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(
        refused.err.contains("[environment_not_portable]") && refused.err.contains("--clear-env"),
        "{refused:?}"
    );
    for flags in [&["--any-node"] as &[&str], &["--any-node", "--clear-env"], &["--node-label", "gpu"]] {
        let refused = two.alpha.run(&[&["run", "-b"], flags, &["--", "true"]].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("-C DIR --clear-env"), "{refused:?}");
    }
    // The node that accepts the launch has the captured environment and the directory, so it can run the process.
    let own = two.alpha.ok(&["run", "-b", "--node", "alpha", "--", "true"]);
    two.alpha.until_status(&own, "completed");
}

#[test]
fn draining_node_starts_nothing_and_finishes_its_processes() {
    let Some(two) = Two::new() else { return };
    let running = two.launch(&["--node", "beta"], "sleep 60");
    two.alpha.until_status(&running, "running");
    let _ = two.alpha.ok(&["node", "drain", "beta"]);
    assert_eq!(two.node("beta").unwrap()["draining"], true);
    for _ in 0..3 {
        let id = two.beta.ok(&["run", "-b", "--any-node", "-C", "/", "--clear-env", "--", "/bin/true"]);
        two.alpha.until_status(&id, "completed");
        assert_eq!(two.node_of(&id).as_deref(), Some("alpha"));
    }
    let waiting = two.launch(&["--node", "beta"], "true");
    assert_eq!(two.alpha.status(&running), "running");
    assert_eq!(two.alpha.status(&waiting), "pending");
    let _ = two.alpha.ok(&["node", "undrain", "beta"]);
    two.alpha.until_status(&waiting, "completed");
    let alive = two.alpha.run(&["node", "forget", "beta"]);
    assert!(alive.code != 0 && alive.err.contains("[node_alive]"), "{alive:?}");
    let unknown = two.alpha.run(&["node", "drain", "gamma"]);
    assert_eq!(unknown.code, 3, "{unknown:?}");
    let _ = two.alpha.run(&["cancel", "--all", "--force", "--yes"]);
}

#[test]
fn processes_of_a_lost_node_are_interrupted_and_do_not_run_twice_after_its_return() {
    let Some(two) = Two::new() else { return };
    let script = format!("echo run >> runs; {GATED}");
    let id = two.launch(&["--node", "beta"], &script);
    two.alpha.until_status(&id, "running");
    two.beta.until_written("runs");
    let pid = two.alpha.pid(&id);
    two.beta.end_manager("-KILL");
    assert!(is_alive(pid), "its shim is still running");
    let record = within(LOST, "the process is interrupted", || {
        let record = two.alpha.record(&id);
        (record["status"] == "interrupted").then_some(record)
    });
    assert!(record["reason"].as_str().is_some_and(|reason| reason.contains("node")), "{record}");
    assert!(record["exit_code"].is_null(), "{record}");
    assert_eq!(two.presence("beta").as_deref(), Some("lost"));
    let _ = two.beta.ok(&["status"]);
    until("beta is present again", || (two.presence("beta")? == "here").then_some(()));
    let next = two.launch(&["--node", "beta"], "true");
    two.alpha.until_status(&next, "completed");
    assert_eq!(two.alpha.status(&id), "interrupted");
    assert_eq!(std::fs::read_to_string(two.beta.work().join("runs")).unwrap(), "run\n");
    two.beta.open_gate();
    until("its command has exited", || (!is_alive(pid)).then_some(()));
    assert_eq!(two.alpha.status(&id), "interrupted", "a late end changes nothing");
}

#[test]
fn work_that_runs_again_elsewhere_ends_with_the_lease_of_a_killed_manager() {
    let Some(two) = Two::new() else { return };
    let opted = ["--node", "beta", "--retry", "2", "--retry-on", "interrupted"];
    let id = two.launch(&opted, "echo run >> runs; exec sleep 600");
    two.alpha.until_status(&id, "running");
    let stays = two.launch(&["--node", "beta"], "exec sleep 600");
    two.alpha.until_status(&stays, "running");
    let (pid, other) = (two.alpha.pid(&id), two.alpha.pid(&stays));
    two.beta.end_manager("-KILL");
    within(Duration::from_secs(8), "the command ends with the lease", || (!is_alive(pid)).then_some(()));
    assert!(is_alive(other), "a process that is not started elsewhere continues");
    within(LOST, "the process is queued again", || (two.alpha.status(&id) == "pending").then_some(()));
    let _ = two.beta.ok(&["status"]);
    two.alpha.until_status(&id, "running");
    assert_eq!(std::fs::read_to_string(two.beta.work().join("runs")).unwrap(), "run\nrun\n");
    let _ = two.alpha.run(&["cancel", &id, "--force"]);
    let _ = two.alpha.run(&["cancel", &stays, "--force"]);
    until("its command has exited", || (!is_alive(other)).then_some(()));
}

#[test]
fn work_that_runs_again_elsewhere_outlives_a_manager_that_is_back_in_time() {
    let Some(two) = Two::new() else { return };
    let opted = ["--node", "beta", "--retry", "2", "--retry-on", "interrupted"];
    let id = two.launch(&opted, "exec sleep 600");
    two.alpha.until_status(&id, "running");
    let pid = two.alpha.pid(&id);
    two.beta.end_manager("-KILL");
    let _ = two.beta.ok(&["status"]);
    // Wait until the lease of the killed manager would have expired.
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_alive(pid));
    assert_eq!((two.alpha.status(&id), two.alpha.pid(&id)), ("running".to_owned(), pid));
    let _ = two.alpha.run(&["cancel", &id, "--force"]);
}

#[test]
fn orphan_of_an_interrupted_process_is_cancelled_from_another_node() {
    let Some(two) = Two::new() else { return };
    let id = two.launch(&["--node", "beta"], "exec sleep 600");
    two.alpha.until_status(&id, "running");
    let pid = two.alpha.pid(&id);
    two.beta.end_manager("-KILL");
    within(LOST, "the process is interrupted", || (two.alpha.status(&id) == "interrupted").then_some(()));
    let _ = two.beta.ok(&["status"]);
    within(LOST, "its node reports that the command is running", || {
        let record = two.beta.record(&id);
        record["conditions"].as_array()?.iter().any(|each| each == "orphaned").then_some(())
    });
    assert!(is_alive(pid));
    let reported = two.alpha.run(&["cancel", &id]);
    assert_eq!(reported.code, 0, "{reported:?}");
    assert!(reported.err.contains("its remaining processes are stopped"), "{reported:?}");
    within(LOST, "its command has exited", || (!is_alive(pid)).then_some(()));
    assert_eq!(two.alpha.status(&id), "interrupted", "an ending is final");
}

#[test]
fn signal_reaches_work_on_another_node() {
    let Some(two) = Two::new() else { return };
    let script = "trap 'echo usr1 >> heard' USR1; echo up >> heard; while :; do sleep 0.05; done";
    let id = two.launch(&["--node", "beta"], script);
    two.alpha.until_status(&id, "running");
    two.beta.until_written("heard");
    let _ = two.alpha.ok(&["signal", &id, "SIGUSR1"]);
    let heard = two.beta.work().join("heard");
    until("the command received the signal", || {
        (std::fs::read_to_string(&heard).ok()? == "up\nusr1\n").then_some(())
    });
    let refused = two.alpha.run(&["signal", &id, "STOP"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("longhaul pause"), "{refused:?}");
    assert_eq!(two.alpha.status(&id), "running");
    let _ = two.alpha.run(&["cancel", &id, "--force"]);
}
