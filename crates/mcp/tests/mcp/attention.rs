//! Tests of input, readiness and conditions.

use crate::world::{Era, World, launch, with};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn sent_input_is_read_and_the_end_of_input_ends_the_reader() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let started = client.call("start_background_process", with(launch("cat"), "stdin", json!("pipe"))).await;
    let id = started["process_id"].clone();
    world.pass(Duration::from_millis(10)).await;
    let sent = client.call("send_process_input", json!({ "process_id": id, "text": "hello\n" })).await;
    assert_eq!(sent, json!({ "process_id": id, "bytes": 6, "closed": false }));
    world.pass(Duration::from_millis(10)).await;
    let read = client.call("read_process_output", json!({ "process_id": id })).await;
    assert_eq!(read["text"], "hello\n");
    let closed = client.call("send_process_input", json!({ "process_id": id, "close": true })).await;
    assert_eq!(closed["closed"], true);
    let waited = world.until(client.call("wait_for_process", json!({ "process_ids": [id] }))).await;
    assert_eq!(waited["processes"][0]["status"], "completed");
    let late = client.refusal("send_process_input", json!({ "process_id": id, "text": "x" })).await;
    assert_eq!(late["current_status"], "completed", "{late}");
}

#[tokio::test]
async fn process_that_waits_for_input_shows_the_condition_and_the_next_step() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let started = client.call("start_background_process", with(launch("ask"), "stdin", json!("pipe"))).await;
    world.pass(Duration::from_secs(3)).await;
    let reported = client.call("get_process_status", json!({ "process_id": started["process_id"] })).await;
    assert_eq!(reported["conditions"], json!(["waiting_for_input"]), "{reported}");
    assert!(reported["idle_for_s"].as_f64().unwrap() >= 2.0, "{reported}");
    assert_eq!(reported["next"], "the process waits for input: send it with send_process_input");
}

#[tokio::test]
async fn wait_for_readiness_ends_with_it_or_with_the_process() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let serve = with(launch("serve 8080 2000"), "ready_when", json!({ "port": 8080 }));
    let id = client.call("start_background_process", serve).await["process_id"].clone();
    let wait = json!({ "process_ids": [id], "until": "ready" });
    let ready = world.until(client.call("wait_for_process", wait)).await;
    assert_eq!(ready["reason"], "met", "{ready}");
    let reported = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(reported["ready"], true);

    let never = with(launch("exit 1 3000"), "ready_when", json!({ "log": "listening" }));
    let id = client.call("start_background_process", never).await["process_id"].clone();
    let early = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(early["ready"], false, "{early}");
    let wait = json!({ "process_ids": [id], "until": "ready" });
    let ended = world.until(client.call("wait_for_process", wait)).await;
    assert_eq!((&ended["reason"], &ended["processes"][0]["status"]), (&json!("ended"), &json!("failed")));
}

#[tokio::test]
async fn silence_is_reported_after_the_requested_time() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = with(launch("run"), "idle_after_seconds", json!(5));
    let id = client.call("start_background_process", asked).await["process_id"].clone();
    world.pass(Duration::from_secs(30)).await;
    let reported = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(reported["conditions"], json!(["idle"]), "{reported}");
}

#[tokio::test]
async fn two_ways_to_be_ready_are_one_too_many() {
    let client = World::new().await.client(Era::Initialize).await;
    let asked = with(launch("run"), "ready_when", json!({ "port": 1, "log": "x" }));
    assert_eq!(client.refusal("start_background_process", asked).await["code"], "invalid_request");
}
