//! Tests of processes and sessions as resources.

use crate::world::{Client, Era, World, connect, opening};
use rmcp::model::{ReadResourceRequestParams, ResourceContents, ServerNotification, SubscriptionFilter};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const TIMEOUT: Duration = Duration::from_secs(10);

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
        for uri in ["longhaul://process/unknown", "longhaul://process/", "file:///etc/passwd"] {
            let asked = ReadResourceRequestParams::new(uri);
            assert!(client.running.read_resource(asked).await.is_err(), "{era:?} {uri}");
        }
    }
}

#[tokio::test]
async fn subscriber_gets_only_updates_of_its_resources() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let (mine, other) = (client.start("exit 0 3000").await, client.start("exit 0 1000").await);
    let uri = format!("longhaul://process/{mine}");
    let wanted = SubscriptionFilter::builder().resource_subscriptions([uri.as_str(), "file:///x"]).build();
    let mut listening = client.running.listen(wanted).await.unwrap();
    client.call("pause_process", json!({ "process_id": other })).await;
    client.call("report_progress", json!({ "process_id": mine, "stage": "talking" })).await;
    world.pass(Duration::from_secs(5)).await;
    let reported = tokio::time::timeout(TIMEOUT, listening.next()).await.unwrap().unwrap();
    let Some(ServerNotification::ResourceUpdatedNotification(update)) = reported else {
        panic!("{reported:?}")
    };
    assert_eq!(update.params.uri, uri);
    assert_eq!(client.call("get_process_status", json!({ "process_id": mine })).await["status"], "completed");
}

#[tokio::test]
async fn changes_at_the_same_time_cause_one_update() {
    let world = World::new().await;
    let id = world.client(Era::Initialize).await.start("run").await;
    let uri = format!("longhaul://process/{id}");
    let mut wire = Wire::subscribed(&world, &uri).await;
    let call = |id: u32, tool: &str, process: &str| {
        let params = json!({ "name": tool, "arguments": { "process_id": process } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    for (place, tool) in ["pause_process", "resume_process", "pause_process"].iter().enumerate() {
        wire.say(&call(10 + u32::try_from(place).unwrap(), tool, &id)).await;
        assert!(wire.hear().await["result"].is_object());
    }
    let update = wire.hear().await;
    let expected = (&json!("notifications/resources/updated"), &json!(uri));
    assert_eq!((&update["method"], &update["params"]["uri"]), expected);
    let bye =
        json!({ "jsonrpc": "2.0", "id": 20, "method": "resources/unsubscribe", "params": { "uri": uri } });
    wire.say(&bye).await;
    assert_eq!(wire.hear().await["id"], 20);
    wire.say(&call(21, "resume_process", &id)).await;
    assert_eq!(wire.hear().await["id"], 21);
    let more = tokio::time::timeout(Duration::from_millis(600), wire.hear()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn simultaneous_ends_of_a_session_cause_one_update() {
    let world = World::new().await;
    for era in [Era::Initialize, Era::Stateless] {
        let session = format!("s-{era:?}");
        let bound = crate::world::with(opening(), "session", json!(session));
        let client = world.client_of(era, bound).await;
        let mut ids = Vec::new();
        for _ in 0..51 {
            let work = json!({ "process_type": "custom", "name": "n" });
            ids.push(client.call("register_process", work).await["process_id"].clone());
        }
        ids.truncate(50);
        let end_all = async || {
            for id in &ids {
                client.call("complete_process", json!({ "process_id": id })).await;
            }
        };
        let uri = format!("longhaul://session/{session}");
        let reported = match era {
            Era::Stateless => {
                let wanted = SubscriptionFilter::builder().resource_subscriptions([uri.as_str()]).build();
                let mut listening = client.running.listen(wanted).await.unwrap();
                end_all().await;
                let reported = tokio::time::timeout(TIMEOUT, world.until(listening.next())).await.unwrap();
                serde_json::to_value(reported.unwrap().unwrap()).unwrap()
            }
            Era::Initialize => {
                let mut wire = Wire::subscribed(&world, &uri).await;
                end_all().await;
                tokio::time::timeout(TIMEOUT, world.until(wire.hear())).await.unwrap()
            }
        };
        assert_eq!(reported["params"]["uri"], json!(uri), "{reported}");
        let notice = &reported["params"]["_meta"]["dev.longhaul/notice"];
        assert_eq!(notice["ended"].as_array().unwrap().len(), 50, "{era:?}");
        assert_eq!((&notice["live_count"], &notice["all_complete"]), (&json!(1), &json!(false)));
        let standing = read(&client, &uri).await;
        assert_eq!(standing["live"].as_array().unwrap().len(), 1);
        assert_eq!(standing["all_complete"], false);
    }
}

/// A client of the older protocol era that subscribes to one resource.
struct Wire(BufReader<tokio::io::DuplexStream>);

impl Wire {
    async fn subscribed(world: &World, uri: &str) -> Self {
        let mut wire = Self(BufReader::new(connect(&world.mcp, &opening()).await));
        let info = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "t", "version": "1" },
        });
        for line in [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": { "uri": uri } }),
        ] {
            wire.say(&line).await;
        }
        assert_eq!(wire.hear().await["id"], 1);
        assert_eq!(wire.hear().await["id"], 2);
        wire
    }

    async fn say(&mut self, line: &Value) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        hear(&mut self.0).await
    }
}

async fn read(client: &Client, uri: &str) -> Value {
    let read = client.running.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
    let ResourceContents::TextResourceContents { text, .. } = &read.contents[0] else { panic!("{read:?}") };
    serde_json::from_str(text).unwrap()
}

async fn hear(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Value {
    let mut line = String::new();
    tokio::time::timeout(TIMEOUT, stream.read_line(&mut line)).await.unwrap().unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}
