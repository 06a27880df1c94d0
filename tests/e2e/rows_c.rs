//! Tests of the limit on parallel processes, of interrupted processes, and of repeated launches: requirements C6 and
//! C8, and the promise about revisions that all commands make.

use crate::socket::{configure, ids, json_of};
use longhaul_tests::{Home, kill_together};
use serde_json::json;

#[test]
fn c6_ten_roots_run_at_once_and_the_next_queues_or_is_refused_on_request() {
    let home = Home::new();
    let running: Vec<String> = (0..10).map(|_| home.launch(&["sleep", "60"])).collect();
    for id in &running {
        home.until_status(id, "running");
    }
    let next = home.launch(&["true"]);
    assert_eq!(home.status(&next), "pending");
    let why = json_of(&home, &["why", &next, "--json"]);
    assert_eq!((&why["why"], &why["slots"]), (&json!("node_full"), &json!(10)), "{why}");
    let refused = home.run(&["run", "-b", "--no-queue", "--", "true"]);
    assert!(refused.code == 5 && refused.err.contains("limits.max_parallel"), "{refused:?}");
    let child = home.ok(&["run", "-b", "--parent", &running[0], "--", "sleep", "60"]);
    home.until_status(&child, "running");
    assert_eq!(home.run(&["cancel", "--force", &running[1]]).code, 0);
    assert_eq!(home.run(&["wait", &next]).code, 0, "a slot was free");
    configure(&home, "[limits]\nmax_parallel = 2\n");
    home.end_manager("-TERM");
    let late = home.launch(&["true"]);
    assert_eq!(json_of(&home, &["why", &late, "--json"])["slots"], 2);
}

#[test]
fn c8_interrupted_work_is_shown_with_its_reason_and_restarted_singly_or_all_at_once() {
    let home = Home::new();
    let script = "test -e second && exit 0; echo $$ >> pids; exec sleep 60";
    let work = ["a", "b", "c"].map(|name| home.ok(&["run", "-b", "--name", name, "--", "sh", "-c", script]));
    for id in &work {
        home.until_status(id, "running");
        kill_together("-KILL", &[home.shim(id), home.pid(id)]);
        home.until_status(id, "interrupted");
    }
    let record = home.record(&work[0]);
    assert!(record["reason"].as_str().is_some_and(|why| why.contains("supervisor")), "{record}");
    let shown = home.ok(&["status", "-a"]);
    assert_eq!(shown.matches("interrupted").count(), 3, "{shown}");
    std::fs::write(home.work().join("second"), "").unwrap();
    let one = home.ok(&["restart", "--interrupted", &work[0]]);
    assert_eq!(one.lines().count(), 1, "{one}");
    let rest = home.ok(&["restart", "--interrupted"]);
    assert_eq!(rest.lines().count(), 2, "the processes that are not running again yet: {rest}");
    let all = json_of(&home, &["status", "-a", "--json"]);
    let processes = all["processes"].as_array().unwrap();
    for id in &work {
        let again = processes.iter().find(|one| one["restarted_from"] == id.as_str()).unwrap();
        assert_eq!(home.run(&["wait", again["id"].as_str().unwrap()]).code, 0);
    }
    let again = home.run(&["restart", "--interrupted"]);
    assert_eq!((again.code, again.out.as_str()), (0, ""), "{again:?}");
    assert_eq!(ids(&json_of(&home, &["status", "-a", "--json"])).len(), 6, "nothing is started twice");
}

#[test]
fn a_launch_key_never_starts_two_processes_and_reports_the_differences() {
    let home = Home::new();
    let launch = |command: &[&str]| {
        home.run(&[&["run", "-b", "--session", "s", "--launch-key", "nightly", "--"], command].concat())
    };
    let first = launch(&["sh", "-c", "echo x >> runs; sleep 60"]);
    assert_eq!(first.code, 0, "{first:?}");
    let id = first.out.trim();
    home.until_status(id, "running");
    home.until_written("runs");
    let again = launch(&["sh", "-c", "echo x >> runs; sleep 60"]);
    assert_eq!((again.code, again.out.trim()), (0, id), "{again:?}");
    let other = launch(&["sleep", "61"]);
    assert!(other.code != 0 && other.err.contains("key_conflict"), "{other:?}");
    assert!(
        other.err.contains("program") || other.err.contains("command"),
        "the error names the difference: {other:?}"
    );
    assert_eq!(home.run(&["cancel", "--force", id]).code, 0);
    let ended = launch(&["sh", "-c", "echo x >> runs; sleep 60"]);
    assert_eq!((ended.code, ended.out.trim()), (0, id), "{ended:?}");
    assert_eq!(std::fs::read_to_string(home.work().join("runs")).unwrap(), "x\n");
}

#[test]
fn a_command_about_an_old_revision_is_refused_and_changes_nothing() {
    let home = Home::new();
    let id = home.launch(&["sleep", "60"]);
    home.until_status(&id, "running");
    let old = home.record(&id)["revision"].as_u64().unwrap();
    assert_eq!(home.run(&["pause", &id, "--expect-revision", &old.to_string()]).code, 0);
    for verb in ["cancel", "resume"] {
        let refused = home.run(&[verb, &id, "--expect-revision", &old.to_string()]);
        assert!(refused.code != 0 && refused.err.contains("revision"), "{refused:?}");
    }
    assert_eq!(home.status(&id), "paused");
}
