//! Tests of queued launches with slots of concurrency keys. Requirements Q1 to Q6 and Q8.

use crate::socket::{configure, http, ids, json_of};
use longhaul_tests::{Home, is_alive, until};
use serde_json::{Value, json};

/// Returns a launch request for reported work: an agent that its host executes itself.
fn agent(model: &str) -> Value {
    json!({
        "reported": {"queued": true}, "session_id": "parent", "parent_message_id": "m1",
        "description": "review", "prompt": "look at it", "agent": "reviewer", "model": model,
    })
}

fn launch(home: &Home, request: &Value) -> String {
    let (code, launched) = http(home, "POST", "/v1/processes", request);
    assert_eq!(code, 201, "{launched}");
    launched.pointer("/process/id").and_then(serde_json::Value::as_str).unwrap().to_owned()
}

/// Creates a state directory in which `key` has one slot.
fn narrow(key: &str) -> Home {
    let home = Home::new();
    let _ = home.ok(&["queue", key, "--limit", "1", "--json"]);
    home
}

#[test]
fn q1_a_launch_stores_all_data_of_its_agent_and_its_host_completes_it() {
    let home = narrow("opus");
    let first = launch(&home, &agent("opus"));
    home.until_status(&first, "running");
    let (code, launched) = http(&home, "POST", "/v1/processes", &agent("opus"));
    let record = &launched["process"];
    assert_eq!((code, &record["status"]), (201, &json!("pending")), "{record}");
    assert!(record["queued_at"].is_string());
    for (field, value) in [
        ("session_id", "parent"),
        ("parent_message_id", "m1"),
        ("description", "review"),
        ("prompt", "look at it"),
        ("agent", "reviewer"),
        ("model", "opus"),
        ("key", "opus"),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    let second = record["id"].as_str().unwrap();
    assert_eq!(home.run(&["track", "complete", second]).code, 4, "the process is still waiting");
    assert_eq!(home.run(&["track", "complete", &first]).code, 0);
    home.until_status(second, "running");
    assert_eq!(home.run(&["track", "complete", second, "--result", "{\"ok\": true}"]).code, 0);
    assert_eq!(home.record(second)["result"]["ok"], true);
}

#[test]
fn q2_slots_are_assigned_in_order_within_a_priority_and_freed_on_every_ending() {
    let home = narrow("k");
    let run = |extra: &[&str], command: &[&str]| {
        home.ok(&[&["run", "-b", "--key", "k"], extra, &["--"], command].concat())
    };
    let holder = run(&[], &["sleep", "60"]);
    home.until_status(&holder, "running");
    let log = |name: &str, rest: &str| format!("echo {name} >> order; {rest}");
    let second = run(&[], &["sh", "-c", &log("second", "exit 3")]);
    let third = run(&["--timeout", "1s"], &["sh", "-c", &log("third", "exec sleep 60")]);
    let missing = run(&[], &["no-such-program-anywhere"]);
    let urgent = run(&["--priority", "5"], &["sh", "-c", &log("urgent", "kill -KILL $$")]);
    let last = run(&["--priority", "-5"], &["sh", "-c", &log("last", "true")]);
    assert!([&second, &third, &urgent, &last].iter().all(|id| home.status(id) == "pending"));
    assert_eq!(home.run(&["cancel", "--force", &holder]).code, 0);
    assert_eq!(home.run(&["wait", &last]).code, 0, "a slot came back after a cancel and after each ending");
    assert_eq!(std::fs::read_to_string(home.work().join("order")).unwrap(), "urgent\nsecond\nthird\nlast\n");
    let ends = [&second, &third, &missing, &urgent].map(|id| home.status(id));
    assert_eq!(ends, ["failed", "timeout", "failed", "failed"]);
    assert_eq!(json_of(&home, &["queue", "k", "--json"])["queues"][0]["running"].as_u64().unwrap_or(0), 0);
}

#[test]
fn q2_a_slot_is_not_reassigned_while_leftovers_are_alive() {
    const LEAVES: &str = "setsid sh -c \"trap '' TERM; echo \\$\\$ > left; while :; do sleep 0.05; done\" & \
        while [ ! -s left ]; do sleep 0.01; done; exit 3";
    let home = narrow("k");
    let request = json!({
        "key": "k",
        "command": {
            "program": "sh", "args": ["-c", LEAVES], "directory": home.work().to_str().unwrap(), "grace_ms": 3_000,
        },
    });
    let first = launch(&home, &request);
    let seen = "kill -0 $(cat left) && echo beside > seen || echo after > seen";
    let second = home.ok(&["run", "-b", "--key", "k", "--", "sh", "-c", seen]);
    until("the cleanup is reported", || {
        let record = home.record(&first);
        let is_told = record["conditions"].as_array().unwrap().contains(&json!("cleaning_up"));
        is_told.then(|| assert_eq!(record["status"], "running", "its slot is not free"))
    });
    assert_eq!(home.status(&second), "pending");
    assert_eq!(home.run(&["wait", &first]).code, 3);
    assert_eq!(home.run(&["wait", &second]).code, 0);
    assert_eq!(std::fs::read_to_string(home.work().join("seen")).unwrap(), "after\n");
    let first = home.record(&first);
    assert_eq!((&first["status"], &first["conditions"]), (&json!("failed"), &json!([])));
    assert!(first["exit"]["leftovers_killed"].as_u64().unwrap() > 0, "{first}");
    let ended = first["completed_at"].as_str().unwrap();
    assert!(ended < home.record(&second)["started_at"].as_str().unwrap(), "{first}");
}

#[test]
fn q2_limits_are_per_key_per_tier_and_default_and_change_while_running() {
    let home = Home::new();
    configure(&home, "[keys.limit]\n\"claude-opus*\" = 1\n\"claude-opus-4\" = 2\n\"*\" = 1\n");
    let run = |key: &str| home.ok(&["run", "-b", "--key", key, "--", "sleep", "60"]);
    let started = |key: &str, limit: usize| {
        let all: Vec<String> = (0..=limit).map(|_| run(key)).collect();
        for id in &all[..limit] {
            home.until_status(id, "running");
        }
        assert_eq!(home.status(&all[limit]), "pending", "{key} has {limit} slots");
        all[limit].clone()
    };
    let by_pattern = started("claude-opus-3", 1);
    let _ = started("claude-opus-4", 2);
    let by_default = started("other", 1);
    assert_eq!(home.run(&["queue", "claude-opus*", "--limit", "0"]).code, 0);
    home.until_status(&by_pattern, "running");
    assert_eq!(home.status(&by_default), "pending", "another key is not affected");
    let agent = json!({"command": {"program": "sleep", "args": ["60"], "directory": "/"}, "prompt": "p"});
    assert_eq!(home.record(&launch(&home, &agent))["key"], "sonnet", "the key of an agent without a model");
}

#[test]
fn q2_no_queue_is_refused_with_the_holders_and_why_names_them() {
    let home = narrow("k");
    let holder = home.ok(&["run", "-b", "--key", "k", "--name", "greedy", "--", "sleep", "60"]);
    home.until_status(&holder, "running");
    let refused = home.run(&["run", "-b", "--key", "k", "--no-queue", "--", "true"]);
    assert!(refused.code == 5 && refused.err.contains(&holder[..8]), "{refused:?}");
    let waits = home.ok(&["run", "-b", "--key", "k", "--", "true"]);
    let why = json_of(&home, &["why", &waits, "--json"]);
    assert_eq!((&why["why"], &why["position"], &why["key"]), (&json!("queued"), &json!(1), &json!("k")));
    assert_eq!(why["holders"][0]["id"], holder.as_str());
    let later = home.ok(&["run", "-b", "--key", "k", "--delay", "1h", "--", "true"]);
    assert_eq!(json_of(&home, &["why", &later, "--json"])["why"], "delayed");
    let behind = home.ok(&["run", "-b", "--key", "k", "--", "true"]);
    assert_eq!(json_of(&home, &["why", &behind, "--json"])["position"], 2);
    assert_eq!(home.run(&["queue", "move", &behind, "--first"]).code, 0);
    assert_eq!(json_of(&home, &["why", &behind, "--json"])["position"], 1);
}

#[test]
fn q2_a_held_queue_starts_nothing_until_it_is_released() {
    let home = narrow("k");
    assert_eq!(home.run(&["queue", "k", "--hold"]).code, 0);
    let id = home.ok(&["run", "-b", "--key", "k", "--", "true"]);
    let open = home.ok(&["run", "-b", "--key", "open", "--", "true"]);
    assert_eq!(home.run(&["wait", &open]).code, 0);
    home.end_manager("-KILL");
    assert_eq!(json_of(&home, &["why", &id, "--json"])["why"], "held", "a hold outlives the manager");
    assert_eq!((home.status(&id).as_str(), home.record(&id)["attempt"].as_u64()), ("pending", Some(0)));
    assert_eq!(home.run(&["queue", "k", "--release"]).code, 0);
    assert_eq!(home.run(&["wait", &id]).code, 0);
}

#[test]
fn q3_complete_and_fail_need_running_and_cancel_takes_pending_too() {
    let home = narrow("k");
    let holder = home.ok(&["track", "start", "--queued", "--key", "k"]);
    home.until_status(&holder, "running");
    let waits = home.ok(&["track", "start", "--queued", "--key", "k"]);
    for verb in [&["track", "complete", &waits][..], &["track", "fail", &waits, "--error", "x"]] {
        let refused = home.run(verb);
        assert!(refused.code == 4 && refused.err.contains("pending"), "{refused:?}");
    }
    let command = home.ok(&["run", "-b", "--key", "k", "--", "touch", "never"]);
    assert_eq!(home.run(&["cancel", &command]).code, 0);
    assert_eq!(home.run(&["cancel", &waits]).code, 0);
    assert_eq!(home.run(&["track", "complete", &holder]).code, 0);
    let after = home.ok(&["run", "-b", "--key", "k", "--", "true"]);
    assert_eq!(home.run(&["wait", &after]).code, 0);
    let record = home.record(&command);
    assert_eq!((&record["status"], &record["attempt"]), (&json!("cancelled"), &json!(0)));
    assert!(!home.work().join("never").exists(), "the process left the queue");
    let runs = home.launch(&["sleep", "60"]);
    let pid = home.pid(&runs);
    assert_eq!(home.run(&["cancel", &runs]).code, 0);
    assert!(home.status(&runs) == "cancelled" && !is_alive(pid));
}

#[test]
fn q4_queries_by_id_status_session_parent_all_and_counts_per_key() {
    let home = narrow("k");
    let parent = home.ok(&["run", "-b", "--session", "s", "--key", "k", "--", "sleep", "60"]);
    home.until_status(&parent, "running");
    let child = home.ok(&["run", "-b", "--parent", &parent, "--", "sleep", "60"]);
    let waits = home.ok(&["run", "-b", "--key", "k", "--", "true"]);
    let done = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &done]).code, 0);
    let found = |query: &str| {
        let (code, listing) = http(&home, "GET", &format!("/v1/processes?{query}"), &Value::Null);
        assert_eq!(code, 200, "{listing}");
        ids(&listing)
    };
    assert_eq!(found("status=pending"), std::slice::from_ref(&waits));
    assert_eq!(found("status=completed"), std::slice::from_ref(&done));
    // A child belongs to the session of its parent, so both must be found.
    assert_eq!(found("session=s"), [child.clone(), parent.clone()]);
    assert_eq!(found(&format!("parent={parent}")), [child]);
    assert_eq!(found("all=true").len(), 4);
    assert_eq!(home.record(&done)["id"], done.as_str());
    let queue = &json_of(&home, &["queue", "k", "--json"])["queues"][0];
    assert_eq!((&queue["running"], &queue["waiting"]), (&json!(1), &json!(1)));
    assert!(queue["oldest_wait_ms"].is_u64());
    let revision = home.record(&waits)["revision"].as_u64().unwrap();
    assert_eq!(home.run(&["queue", "move", &waits, "--priority", "9"]).code, 0);
    assert!(home.record(&waits)["revision"].as_u64().unwrap() > revision, "the last change is visible");
}

#[test]
fn q6_everything_survives_a_restart_of_the_manager() {
    let home = narrow("k");
    let runs =
        home.ok(&["run", "-b", "--key", "k", "--", "sh", "-c", "while [ ! -e go ]; do sleep 0.05; done"]);
    let pid = home.pid(&runs);
    let script = "echo $0 >> order";
    let waiting = ["a", "b", "c"].map(|n| home.ok(&["run", "-b", "--key", "k", "--", "sh", "-c", script, n]));
    let done = home.ok(&["track", "start"]);
    assert_eq!(home.run(&["track", "complete", &done, "--result", "[1, 2]"]).code, 0);
    home.end_manager("-KILL");
    assert_eq!(home.pid(&runs), pid, "adopted");
    assert!(waiting.iter().all(|id| home.status(id) == "pending"));
    assert_eq!(home.record(&done)["result"], json!([1, 2]));
    std::fs::write(home.work().join("go"), "").unwrap();
    for id in [&runs].into_iter().chain(&waiting) {
        assert_eq!(home.run(&["wait", id]).code, 0);
    }
    assert_eq!(std::fs::read_to_string(home.work().join("order")).unwrap(), "a\nb\nc\n");
}

#[test]
fn q8_reset_stops_and_deletes_everything_only_on_explicit_request() {
    let home = Home::new();
    let runs = home.launch(&["sleep", "60"]);
    let pid = home.pid(&runs);
    let done = home.launch(&["echo", "hello"]);
    assert_eq!(home.run(&["wait", &done]).code, 0);
    let reported = json_of(&home, &["reset", "--dry-run", "--json"]);
    assert_eq!(reported["stopped"], json!([runs]));
    let refused = home.run(&["reset"]);
    assert_eq!(refused.code, 2, "there is no terminal to ask on: {refused:?}");
    assert!(refused.err.contains("--yes") && is_alive(pid), "{refused:?}");
    assert_eq!(home.run(&["reset", "--yes"]).code, 0);
    until("the command has exited", || (!is_alive(pid)).then_some(()));
    assert_eq!(ids(&json_of(&home, &["status", "-a", "--json"])), Vec::<String>::new());
    assert_eq!(home.run(&["inspect", &done]).code, 3);
    assert_eq!(home.run(&["run", "--", "echo", "again"]).out, "again\n", "the manager continues to work");
}
