//! Tests of reported work over HTTP. Requirements D1 to D4.

use crate::socket::http;
use longhaul_tests::{Home, until};
use serde_json::{Value, json};

#[test]
fn reported_work_runs_at_once_reports_and_completes_once() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    let (code, launched) = http(
        &home,
        "POST",
        "/v1/processes",
        &json!({
            "reported": { "node_id": "host-7" }, "session_id": "s1", "description": "a migration", "metadata": { "a": [1] }
        }),
    );
    assert_eq!(code, 201, "{launched}");
    let id = launched["process"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/processes/{id}");
    let record = http(&home, "GET", &path, &Value::Null).1;
    assert_eq!((record["status"].as_str(), record["node_id"].as_str()), (Some("running"), Some("host-7")));
    assert!(record["started_at"].is_string());
    let (code, outcome) =
        http(&home, "PATCH", &path, &json!({ "progress": 40, "stage": "copy", "status": "running" }));
    assert_eq!(code, 200, "{outcome}");
    assert_eq!(outcome["process"]["progress"], 40.0);
    let (code, _) = http(&home, "POST", &format!("{path}/complete"), &json!({ "result": { "rows": 5 } }));
    assert_eq!(code, 200);
    let (code, again) = http(&home, "POST", &format!("{path}/complete"), &json!({ "result": { "rows": 6 } }));
    assert_eq!(
        (code, again["changed"].as_bool(), again["note"].as_str()),
        (200, Some(false), Some("no_change"))
    );
    let record = http(&home, "GET", &path, &Value::Null).1;
    assert_eq!((record["status"].as_str(), record["progress"].as_f64()), (Some("completed"), Some(100.0)));
    assert_eq!(record["result"]["rows"], 5);
    let (code, problem) = http(&home, "POST", &format!("{path}/fail"), &json!({ "error": "late" }));
    assert_eq!((code, problem["type"].as_str()), (409, Some("invalid_status_transition")));
    assert_eq!(
        (problem["current_status"].as_str(), problem["attempted"].as_str()),
        (Some("completed"), Some("fail"))
    );
}

#[test]
fn an_unknown_id_is_process_not_found_and_a_command_cannot_be_completed() {
    let home = Home::new();
    let id = home.launch(&["sleep", "30"]);
    home.until_status(&id, "running");
    let (code, problem) =
        http(&home, "PATCH", "/v1/processes/00000000-0000-4000-8000-000000000000", &json!({}));
    assert_eq!((code, problem["type"].as_str()), (404, Some("process_not_found")));
    let (code, problem) = http(&home, "POST", &format!("/v1/processes/{id}/complete"), &json!({}));
    assert_eq!((code, problem["type"].as_str()), (409, Some("unsupported")));
}

#[test]
fn a_missing_heartbeat_interrupts() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    let (_, launched) = http(&home, "POST", "/v1/processes", &json!({ "reported": { "heartbeat_ms": 300 } }));
    let id = launched["process"]["id"].as_str().unwrap().to_owned();
    until("the process is interrupted", || (home.status(&id) == "interrupted").then_some(()));
}
