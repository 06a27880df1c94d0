//! Processes as resources.

use crate::world::{Client, Era, World, connect, opening};
use rmcp::model::{ReadResourceRequestParams, ResourceContents, ServerNotification, SubscriptionFilter};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn resource_has_the_whole_record_uncut() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let long = "x".repeat(10_000);
    let asked =
        json!({ "process_type": "build", "name": "n", "command": "run", "metadata": { "long": long } });
    let started = client.call("start_background_process", asked).await;
    let id = started["process_id"].as_str().unwrap();
    let whole = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(whole["metadata"]["truncated"], true);
    let uri = whole["metadata"]["rest"].as_str().unwrap();
    let record = read(&client, uri).await;
    assert_eq!(record["metadata"]["long"], json!(long));
    let listed = client.running.list_all_resources().await.unwrap();
    assert_eq!((listed[0].uri.as_str(), listed[0].name.as_str()), (uri, "n"));
    let templates = client.running.list_all_resource_templates().await.unwrap();
    assert_eq!(templates[0].uri_template, "longhaul://process/{id}");
}

#[tokio::test]
async fn unknown_resource_is_an_error_of_the_protocol() {
    let world = World::new().await;
    for era in [Era::Initialize, Era::Stateless] {
        let client = world.client(era).await;
        for uri in ["longhaul://process/nobody", "longhaul://process/", "file:///etc/passwd"] {
            let asked = ReadResourceRequestParams::new(uri);
            assert!(client.running.read_resource(asked).await.is_err(), "{era:?} {uri}");
        }
    }
}

#[tokio::test]
async fn listener_is_told_of_changes_of_what_it_listens_to_and_of_nothing_else() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let (mine, other) = (client.start("exit 0 3000").await, client.start("exit 0 1000").await);
    let uri = format!("longhaul://process/{mine}");
    let wanted = SubscriptionFilter::builder().resource_subscriptions([uri.as_str(), "file:///x"]).build();
    let mut listening = client.running.listen(wanted).await.unwrap();
    client.call("pause_process", json!({ "process_id": other })).await;
    client.call("report_progress", json!({ "process_id": mine, "stage": "talking" })).await;
    world.pass(Duration::from_secs(5)).await;
    let told = tokio::time::timeout(PATIENCE, listening.next()).await.unwrap().unwrap();
    let Some(ServerNotification::ResourceUpdatedNotification(update)) = told else { panic!("{told:?}") };
    assert_eq!(update.params.uri, uri);
    assert_eq!(client.call("get_process_status", json!({ "process_id": mine })).await["status"], "completed");
}

#[tokio::test]
async fn changes_that_come_together_are_told_once() {
    let world = World::new().await;
    let id = world.client(Era::Initialize).await.start("run").await;
    let mut stream = BufReader::new(connect(&world.mcp, &opening()).await);
    let info = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let uri = format!("longhaul://process/{id}");
    let mut lines = vec![
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": { "uri": uri } }),
    ];
    let call = |id: u32, tool: &str, process: &str| {
        let params = json!({ "name": tool, "arguments": { "process_id": process } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    for line in lines.drain(..) {
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    assert_eq!(hear(&mut stream).await["id"], 1);
    assert_eq!(hear(&mut stream).await["id"], 2);
    for (place, tool) in ["pause_process", "resume_process", "pause_process"].iter().enumerate() {
        let line = call(10 + u32::try_from(place).unwrap(), tool, &id);
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        assert!(hear(&mut stream).await["result"].is_object());
    }
    let update = hear(&mut stream).await;
    assert_eq!(
        (&update["method"], &update["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!(uri))
    );
    let bye =
        json!({ "jsonrpc": "2.0", "id": 20, "method": "resources/unsubscribe", "params": { "uri": uri } });
    stream.write_all(format!("{bye}\n").as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await["id"], 20);
    let resume = call(21, "resume_process", &id);
    stream.write_all(format!("{resume}\n").as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await["id"], 21);
    let more = tokio::time::timeout(Duration::from_millis(600), hear(&mut stream)).await;
    assert!(more.is_err(), "{more:?}");
}

async fn read(client: &Client, uri: &str) -> Value {
    let read = client.running.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
    let ResourceContents::TextResourceContents { text, .. } = &read.contents[0] else { panic!("{read:?}") };
    serde_json::from_str(text).unwrap()
}

async fn hear(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Value {
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}
