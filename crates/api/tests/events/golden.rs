//! Compares one event of each type with its recorded text. The text must never change, because clients rely on it.

use crate::world::{World, of_session, with, words};
use longhaul_domain::{CommandSpec, ReadyWhen, SilencePolicy, Spec, WatchPattern, WatchSource, Work};
use longhaul_engine::{Launch, Launcher};
use longhaul_wire::event::{Envelope, EventsRequest};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const KEPT: &str = include_str!("events.jsonl");

#[tokio::test(start_paused = true)]
async fn the_events_of_each_type_are_written_as_they_always_were() {
    let written: Vec<String> =
        one_of_each().await.iter().map(|envelope| serde_json::to_string(envelope).unwrap()).collect();
    let kept: Vec<&str> = KEPT.lines().collect();
    if let Some(place) = std::env::var_os("UPDATE_EVENTS") {
        std::fs::write(place, format!("{}\n", written.join("\n"))).unwrap();
        return;
    }
    assert_eq!(written, kept, "written now:\n{}", written.join("\n"));
}

#[test]
fn encoded_events_are_decoded_to_the_same_values() {
    for line in KEPT.lines() {
        let envelope: Envelope = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&envelope).unwrap(), line);
    }
}

#[test]
fn a_client_ignores_an_unknown_event() {
    let later = r#"{"event":"PROCESS_EVOLVED","priority":"low","data":{"wings":2}}"#;
    let envelope: Envelope = serde_json::from_str(later).unwrap();
    assert_eq!((envelope.event.as_str(), envelope.priority.as_str()), ("PROCESS_EVOLVED", "low"));
}

async fn one_of_each() -> Vec<Envelope> {
    let world = World::new().await;
    let named = with(of_session("says no", "s1"), "name", json!("tests"));
    let failing = world.launch(with(named, "retry", json!({ "retries": 1 }))).await;
    world.end(&failing).await;
    let paused = world.launch(with(of_session("run", "s1"), "project", json!("site"))).await;
    world.clock.settle().await;
    world.api.pause(&paused, serde_json::from_value(json!({})).unwrap(), None).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    world.api.resume(&paused, serde_json::from_value(json!({})).unwrap(), None).await.unwrap();
    world.api.cancel(&paused, serde_json::from_value(json!({})).unwrap(), None).await.unwrap();
    world.end(&paused).await;
    let reported = world.launch(json!({ "reported": {}, "agent_id": "a7" })).await;
    let update = serde_json::from_value(json!({ "stage": "copying", "progress": 41.2 })).unwrap();
    world.api.update(&reported, update, None).await.unwrap();
    world.api.complete(&reported, serde_json::from_value(json!({})).unwrap(), None).await.unwrap();
    ask(&world).await;
    let mut first = BTreeMap::new();
    let told = world.envelopes(&EventsRequest::default()).await;
    assert!(words(&told).contains(&"PROCESS_RETRY_SCHEDULED"));
    for envelope in told {
        assert!(envelope.event != "GAP");
        first.entry(envelope.event.clone()).or_insert(envelope);
    }
    let other = EventsRequest { after: Some("e-ff".to_owned()), ..EventsRequest::default() };
    let gap = world.envelopes(&other).await;
    first.into_values().chain(gap).collect()
}

/// Runs a command that becomes ready, prints a watched pattern, and then waits silently for input for three minutes.
async fn ask(world: &World) {
    let mut command = CommandSpec::of("asks", &["password:"], "/work");
    command.stdin = longhaul_domain::Stdin::Pipe;
    command.ready_when = Some(ReadyWhen::Log { pattern: "pass".to_owned() });
    command.watch = vec![WatchPattern {
        name: "prompt".to_owned(),
        pattern: "word:$".to_owned(),
        source: WatchSource::Both,
    }];
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    let (idle_after, stall_after) = (Some(Duration::from_secs(30)), Some(Duration::from_secs(60)));
    spec.silence = SilencePolicy { idle_after, stall_after };
    world
        .api
        .engine
        .launch(Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false })
        .await
        .unwrap();
    world.pass(Duration::from_secs(180)).await;
}
