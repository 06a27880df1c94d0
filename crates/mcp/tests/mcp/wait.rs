//! Tests of `wait_for_process`.

use crate::world::{Era, World, connect, opening};
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest};
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};
use std::time::Duration;

fn wait(ids: &[&str]) -> Value {
    json!({ "process_ids": ids })
}

#[tokio::test]
async fn wait_ends_with_the_processes() {
    let world = World::new().await;
    for era in [Era::Initialize, Era::Stateless] {
        let client = world.client(era).await;
        let (one, two) = (client.start("exit 0 2000").await, client.start("exit 4 5000").await);
        let mut any = wait(&[&one, &two]);
        any["mode"] = json!("any");
        let first = world.until(client.call("wait_for_process", any)).await;
        assert_eq!(first["reason"], "met");
        assert_eq!(first["processes"][0]["status"], "completed");
        assert_eq!(first["processes"][1]["status"], "running");
        let both = world.until(client.call("wait_for_process", wait(&[&one, &two]))).await;
        assert_eq!(both["processes"][1]["exit_code"], 4);
    }
}

#[tokio::test]
async fn wait_for_a_running_process_ends_when_the_process_ends() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("slow 3000").await;
    let mut asked = wait(&[&id]);
    asked["until"] = json!("running");
    let answer = world.until(client.call("wait_for_process", asked)).await;
    assert_eq!(answer["processes"][0]["status"], "running");
}

#[tokio::test]
async fn wait_that_takes_too_long_says_when_to_ask_again_in_few_words() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("run").await;
    let answer = world.until(client.call("wait_for_process", wait(&[&id]))).await;
    assert_eq!((&answer["reason"], &answer["suggested_wait_s"]), (&json!("timeout"), &json!(55)));
    assert!(answer.to_string().len() <= 60 * 4, "{answer}");
    let missing = client.refusal("wait_for_process", wait(&["unknown"])).await;
    assert_eq!(missing["code"], "process_not_found");
}

#[tokio::test]
async fn disconnect_ends_the_wait_and_no_process() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("run").await;
    let params = CallToolRequestParams::new("wait_for_process")
        .with_arguments(serde_json::from_value(wait(&[&id])).unwrap());
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let sent = client.running.send_cancellable_request(request, PeerRequestOptions::default()).await.unwrap();
    sent.cancel(Some("enough".to_owned())).await.unwrap();
    // The cancelled wait would have lasted 45 s. This reply shows that the connection answers other requests
    // immediately.
    let reported = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(reported["status"], "running");
    client.running.cancel().await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    let other = world.client(Era::Initialize).await;
    assert_eq!(other.call("get_process_status", json!({ "process_id": id })).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn waiting_client_gets_progress_every_ten_seconds() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let world = World::new().await;
    let id = world.client(Era::Initialize).await.start("run").await;
    let mut stream = BufReader::new(connect(&world.mcp, &opening()).await);
    let info = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let mut arguments = wait(&[&id]);
    arguments["timeout_seconds"] = json!(30);
    let call =
        json!({ "name": "wait_for_process", "arguments": arguments, "_meta": { "progressToken": "p" } });
    for line in [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call }),
    ] {
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    let mut reported = Vec::new();
    let mut line = String::new();
    while reported.len() < 3 {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        let heard: Value = serde_json::from_str(&line).unwrap();
        if heard["method"] == "notifications/progress" {
            assert_eq!(heard["params"]["progressToken"], "p");
            reported.push(heard["params"]["progress"].as_f64().unwrap());
        }
    }
    assert!(reported.is_sorted_by(|a, b| a < b) && reported[0] >= 10.0, "{reported:?}");
}

#[tokio::test]
async fn thousand_waits_delay_no_other_request() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(std::sync::Arc::new(world.client(Era::Initialize).await));
    }
    let id = clients[0].start("run").await;
    let waits: Vec<_> = (0..1_000)
        .map(|number| {
            let (client, id) = (clients[number % 5].clone(), id.clone());
            tokio::spawn(async move { client.call("wait_for_process", wait(&[&id])).await })
        })
        .collect();
    let other = world.client(Era::Stateless).await;
    let begun = std::time::Instant::now();
    other.start("run").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    world.until(other.call("stop_background_process", json!({ "process_id": id }))).await;
    for wait in waits {
        assert_eq!(wait.await.unwrap()["reason"], "met");
    }
}
