//! Tests of clients that belong to different sessions and use the same process names.

use crate::world::{Client, Era, World, launch, opening, with};
use serde_json::{Value, json};
use std::time::Duration;

async fn bound(world: &World, session: &str) -> Client {
    world.client_of(Era::Stateless, with(opening(), "session", json!(session))).await
}

async fn start(client: &Client, name: &str, words: &str) -> String {
    let started = client.call("start_background_process", with(launch(words), "name", json!(name))).await;
    started["process_id"].as_str().unwrap().to_owned()
}

/// Creates the sessions of alice and bob. Each has an ended process `tests`. The process of alice failed and printed
/// `ALICE`; the process of bob is newer and completed. Only bob has a live process `web`.
async fn two_sessions() -> (World, Client, Client, String) {
    let world = World::new().await;
    let (alice, bob) = (bound(&world, "alice").await, bound(&world, "bob").await);
    start(&alice, "tests", "complain ALICE").await;
    start(&bob, "tests", "exit 0 100").await;
    let web = start(&bob, "web", "run").await;
    world.pass(Duration::from_secs(1)).await;
    (world, alice, bob, web)
}

#[tokio::test]
async fn name_means_the_process_of_the_own_session() {
    let (world, alice, bob, web) = two_sessions().await;
    let read = alice.call("read_process_output", json!({ "process_id": "tests" })).await;
    assert_eq!(read["text"], "ALICE\n");
    let found = json!({ "process_id": "tests", "pattern": "." });
    assert_eq!(alice.call("search_process_output", found).await["matches"][0]["text"], "ALICE");
    let wait = json!({ "process_ids": ["tests"] });
    let mine = alice.call("wait_for_process", wait.clone()).await;
    assert_eq!(mine["processes"][0]["status"], "failed", "{mine}");
    assert_eq!(bob.call("wait_for_process", wait).await["processes"][0]["status"], "completed");

    // A process `web` of another session must not be stopped, even if it is the only live one.
    start(&alice, "web", "exit 1 100").await;
    world.pass(Duration::from_secs(1)).await;
    let stopped = alice.call("stop_background_process", json!({ "process_id": "web" })).await;
    assert_eq!((&stopped["session_id"], &stopped["changed"]), (&json!("alice"), &json!(false)));
    let last = alice.call("get_process_status", json!({ "process_id": "@last" })).await;
    assert_eq!((&last["session_id"], &last["name"]), (&json!("alice"), &json!("web")));
    let untouched = bob.call("get_process_status", json!({ "process_id": web })).await;
    assert_eq!(untouched["status"], "running");
}

#[tokio::test]
async fn name_of_another_session_reaches_nothing_of_it() {
    let (_world, alice, bob, web) = two_sessions().await;
    let one = json!({ "process_id": "web" });
    let calls: [(&str, Value); 13] = [
        ("stop_background_process", one.clone()),
        ("pause_process", one.clone()),
        ("resume_process", one.clone()),
        ("restart_process", one.clone()),
        ("get_process_status", one.clone()),
        ("get_background_process_status", one.clone()),
        ("read_process_output", one.clone()),
        ("search_process_output", with(one.clone(), "pattern", json!("."))),
        ("send_process_input", with(one.clone(), "text", json!("yes\n"))),
        ("report_progress", with(one.clone(), "progress", json!(5))),
        ("complete_process", one.clone()),
        ("fail_process", with(one, "error", json!("no"))),
        ("wait_for_process", json!({ "process_ids": ["tests", "web"], "timeout_seconds": 0 })),
    ];
    for (tool, arguments) in calls {
        let refused = alice.refusal(tool, arguments).await;
        assert_eq!(refused["code"], "process_not_found", "{tool}: {refused}");
        let candidate = refused["candidates"][0].as_str().unwrap();
        for part in [web.as_str(), "web", "running", "session bob", "/work", "run"] {
            assert!(candidate.contains(part), "{tool}: {part} in {candidate}");
        }
        assert_eq!(refused["hint"], "use the id of the process", "{tool}");
    }
    for tool in ["start_background_process", "register_process", "list_background_processes"] {
        let asked = match tool {
            "start_background_process" => launch("run"),
            "register_process" => json!({ "process_type": "custom", "name": "n" }),
            _ => json!({}),
        };
        let refused = alice.refusal(tool, with(asked, "parent_id", json!("web"))).await;
        assert_eq!(refused["code"], "process_not_found", "{tool}");
    }
    assert!(alice.running.read_resource(longhaul("process/web")).await.is_err());
    assert!(bob.running.read_resource(longhaul("process/web")).await.is_ok());
    let untouched = bob.call("get_process_status", json!({ "process_id": web })).await;
    assert_eq!(untouched["status"], "running");
}

#[tokio::test]
async fn process_of_another_session_is_reached_by_its_id() {
    let (world, alice, _bob, web) = two_sessions().await;
    let read = alice.call("read_process_output", json!({ "process_id": web })).await;
    assert_eq!(read["text"], "");
    let wait = json!({ "process_ids": [format!("bg-{web}")], "timeout_seconds": 0 });
    assert_eq!(alice.call("wait_for_process", wait).await["reason"], "timeout");
    let stopped = world.until(alice.call("stop_background_process", json!({ "process_id": web }))).await;
    assert_eq!((&stopped["session_id"], &stopped["status"]), (&json!("bob"), &json!("cancelled")));
}

#[tokio::test]
async fn error_of_an_ambiguous_name_describes_its_processes() {
    let (world, alice, _bob, _web) = two_sessions().await;
    start(&alice, "web", "run 2").await;
    let refused = world.client(Era::Initialize).await;
    let refused = refused.refusal("stop_background_process", json!({ "process_id": "web" })).await;
    assert_eq!(refused["code"], "ambiguous_id");
    assert_eq!(refused["hint"], "several live processes have this name: use an id");
    let candidates = refused["candidates"].to_string();
    for part in ["session alice, in /work: run 2)", "session bob, in /work: run)", "launched 1 s ago"] {
        assert!(candidates.contains(part), "{part} in {candidates}");
    }
}

fn longhaul(path: &str) -> rmcp::model::ReadResourceRequestParams {
    rmcp::model::ReadResourceRequestParams::new(format!("longhaul://{path}"))
}
