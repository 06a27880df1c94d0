//! Tests of the records of distributed work. Requirements D1 to D6.

use crate::socket::{http, ids, json_of};
use longhaul_tests::Home;
use serde_json::{Value, json};

#[test]
fn d1_start_returns_a_uuid_at_once_and_it_runs_unless_it_queues() {
    let home = Home::new();
    let start = ["track", "start", "--session", "s", "--node", "db-7", "--description", "migrate", "--meta"];
    let id = home.ok(&[&start[..], &["{\"a\":{\"b\":[1]}}"]].concat());
    assert_eq!((id.len(), id.matches('-').count()), (36, 4), "a UUID: {id}");
    let other = home.ok(&[&start[..], &["a=1"]].concat());
    assert_ne!(id, other);
    let record = home.record(&id);
    assert_eq!((&record["status"], &record["progress"]), (&json!("running"), &json!(0.0)));
    assert!(record["started_at"].is_string(), "{record}");
    assert_eq!((&record["session_id"], &record["node_id"]), (&json!("s"), &json!("db-7")));
    assert_eq!((&record["description"], &record["metadata"]), (&json!("migrate"), &json!({"a": {"b": [1]}})));
    assert_eq!(home.run(&["queue", "narrow", "--limit", "1"]).code, 0);
    let first = home.ok(&["track", "start", "--queued", "--key", "narrow"]);
    home.until_status(&first, "running");
    let waits = home.ok(&["track", "start", "--queued", "--key", "narrow"]);
    assert_eq!((home.status(&waits).as_str(), &home.record(&waits)["started_at"]), ("pending", &Value::Null));
    let command = home.ok(&["run", "-b", "--key", "narrow", "--", "true"]);
    assert_eq!(home.status(&command), "pending");
}

#[test]
fn d2_get_gives_the_whole_record_or_none() {
    let home = Home::new();
    let id = home.ok(&["track", "start", "--name", "m", "--session", "s", "--node", "n"]);
    assert_eq!(home.run(&["track", "progress", &id, "40", "--stage", "copy"]).code, 0);
    let (code, record) = http(&home, "GET", &format!("/v1/processes/{id}"), &Value::Null);
    assert_eq!(code, 200);
    for field in ["id", "status", "started_at", "node_id", "progress", "stage", "session_id", "revision"] {
        assert!(!record[field].is_null(), "{field}: {record}");
    }
    assert_eq!(record["progress"], 40.0);
    let unknown = "/v1/processes/00000000-0000-4000-8000-000000000000";
    let (code, problem) = http(&home, "GET", unknown, &Value::Null);
    assert_eq!((code, problem["type"].as_str()), (404, Some("process_not_found")));
}

#[test]
fn d3_update_of_running_work_is_reported_and_of_ended_work_is_refused() {
    let home = Home::new();
    let id = home.ok(&["track", "start"]);
    let path = format!("/v1/processes/{id}");
    let (code, outcome) =
        http(&home, "PATCH", &path, &json!({"progress": 55, "stage": "copy", "status": "running"}));
    assert_eq!((code, &outcome["process"]["progress"]), (200, &json!(55.0)));
    let (code, outcome) = http(&home, "PATCH", &path, &json!({"status": "running"}));
    assert_eq!(
        (code, &outcome["process"]["stage"]),
        (200, &json!("copy")),
        "reporting the running status is not a change"
    );
    let unknown = "/v1/processes/00000000-0000-4000-8000-000000000000";
    let (code, problem) = http(&home, "PATCH", unknown, &json!({"progress": 1}));
    assert_eq!((code, problem["type"].as_str()), (404, Some("process_not_found")));
    assert_eq!(home.run(&["track", "complete", &id]).code, 0);
    let (code, problem) = http(&home, "PATCH", &path, &json!({"progress": 60}));
    assert_eq!((code, problem["type"].as_str()), (409, Some("invalid_status_transition")));
    assert_eq!(problem["current_status"], "completed");
    assert!(problem["attempted"].is_string(), "{problem}");
    assert_eq!(home.run(&["track", "progress", &id, "60"]).code, 4);
    assert_eq!(home.record(&id)["progress"], 100.0, "an ended process keeps its ending");
}

#[test]
fn d4_the_same_ending_again_changes_nothing_and_another_is_refused() {
    let home = Home::new();
    let id = home.ok(&["track", "start"]);
    assert_eq!(home.run(&["track", "complete", &id, "--result", "{\"rows\": 5}"]).code, 0);
    let ended = home.record(&id);
    assert_eq!((&ended["status"], &ended["progress"]), (&json!("completed"), &json!(100.0)));
    assert!(ended["completed_at"].is_string() && ended["result"]["rows"] == 5);
    assert_eq!(home.run(&["track", "complete", &id, "--result", "6"]).code, 0);
    assert_eq!(home.record(&id)["revision"], ended["revision"], "nothing was written");
    assert_eq!(home.record(&id)["result"]["rows"], 5);
    let refused = home.run(&["track", "fail", &id, "--error", "late"]);
    assert!(refused.code == 4 && refused.err.contains("invalid_status_transition"), "{refused:?}");
    let bad = home.ok(&["track", "start"]);
    assert_eq!(home.run(&["track", "fail", &bad, "--error", "disk full"]).code, 0);
    assert_eq!(home.run(&["track", "fail", &bad, "--error", "again"]).code, 0);
    assert_eq!((home.status(&bad).as_str(), &home.record(&bad)["error"]), ("failed", &json!("disk full")));
    assert_eq!(home.run(&["track", "complete", &bad]).code, 4);
    let command = home.launch(&["sleep", "60"]);
    home.until_status(&command, "running");
    for verb in [&["track", "complete", &command][..], &["track", "fail", &command, "--error", "x"]] {
        assert_eq!(home.run(verb).code, 4, "a command cannot be ended by a report: {verb:?}");
    }
    assert_eq!(home.status(&command), "running");
}

#[test]
fn d5_a_session_lists_live_and_ended_processes() {
    let home = Home::new();
    let done = home.ok(&["track", "start", "--session", "s", "--node", "a"]);
    let live = home.ok(&["track", "start", "--session", "s", "--node", "b"]);
    let _other = home.ok(&["track", "start", "--session", "t"]);
    assert_eq!(home.run(&["track", "complete", &done]).code, 0);
    let (code, snapshot) = http(&home, "GET", "/v1/sessions/s", &Value::Null);
    let mut found = ids(&snapshot);
    found.sort();
    let mut expected = vec![done, live.clone()];
    expected.sort();
    assert_eq!((code, &found), (200, &expected));
    let shown = json_of(&home, &["status", "--session", "s", "-a", "--json"]);
    assert_eq!(ids(&shown).len(), 2);
    assert_eq!(home.run(&["track", "complete", &live]).code, 0);
    let kept = snapshot["processes"].as_array().unwrap().iter().find(|one| one["id"] == live.as_str());
    assert_eq!(kept.unwrap()["status"], "running", "a snapshot of the caller does not change");
}

#[test]
fn d6_one_session_runs_on_several_nodes_and_a_node_never_changes() {
    let home = Home::new();
    let on = |node: &str| home.ok(&["track", "start", "--session", "s", "--node", node]);
    let (first, second) = (on("host-1"), on("host-2"));
    let unplaced = home.ok(&["track", "start", "--session", "s"]);
    let node = |id: &str| home.record(id)["node_id"].clone();
    let before: Vec<Value> = [&first, &second, &unplaced].into_iter().map(|id| node(id)).collect();
    assert_eq!((&before[0], &before[1]), (&json!("host-1"), &json!("host-2")));
    let moved = http(&home, "PATCH", &format!("/v1/processes/{first}"), &json!({"node_id": "host-9"}));
    assert_eq!(moved.0, 400, "no report changes the node: {}", moved.1);
    home.end_manager("-KILL");
    for id in [&first, &second, &unplaced] {
        assert_eq!(home.run(&["track", "progress", id, "50"]).code, 0);
        assert_eq!(home.run(&["track", "complete", id]).code, 0);
    }
    let after: Vec<Value> = [&first, &second, &unplaced].into_iter().map(|id| node(id)).collect();
    assert_eq!(before, after);
}
