use crate::world::{Answer, World, command, millis, with};
use axum::body::Body;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn events_are_lines_of_json_or_server_sent_events() {
    let world = World::new().await;
    world.submit(with(command("exit 3"), "session_id", json!("s"))).await;
    world.launch("run").await;
    world.pass(millis(50)).await;
    let lines = lines(&world.get("/v1/events?session=s").await, "application/x-ndjson");
    let words: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert!(words.ends_with(&["PROCESS_FAILED"]) && words.contains(&"PROCESS_STARTED"), "{words:?}");
    let accept = [("accept", "text/event-stream")];
    let answer =
        world.ask_with("GET", "/v1/events?session=s&after=start&follow=false", &accept, Body::empty()).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = String::from_utf8(answer.bytes).unwrap();
    assert!(text.starts_with("retry: 1000\n\n"));
    let parts: Vec<&str> = text.split("\n\n").collect();
    let failed = parts.iter().find(|part| part.contains("event: PROCESS_FAILED\n")).unwrap();
    let cursor = lines.last().unwrap()["cursor"].as_str().unwrap();
    assert!(failed.starts_with(&format!("id: {cursor}\n")), "{failed}");
    let reported: Value = serde_json::from_str(failed.rsplit("data: ").next().unwrap()).unwrap();
    assert_eq!(reported["data"]["exit_code"], 3);
}

#[tokio::test(start_paused = true)]
async fn stream_continues_after_the_last_event_of_the_client() {
    let world = World::new().await;
    world.launch("exit 0").await;
    world.pass(millis(50)).await;
    let all = lines(&world.get("/v1/events").await, "application/x-ndjson");
    let second = all[1]["cursor"].as_str().unwrap();
    let rest = world.get(&format!("/v1/events?after={second}")).await;
    assert_eq!(lines(&rest, "application/x-ndjson"), all[2..]);
    let last = [("last-event-id", second)];
    let rest = world.ask_with("GET", "/v1/events?after=start", &last, Body::empty()).await;
    assert_eq!(lines(&rest, "application/x-ndjson"), all[2..]);
    for query in ["after=nonsense", "type=PROCESS_EXPLODED", "follow=perhaps", "format=xml", "sesion=s"] {
        let problem = world.get(&format!("/v1/events?{query}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn notices_of_a_session_begin_with_where_it_stands() {
    let world = World::new().await;
    world.submit(with(command("run"), "session_id", json!("s"))).await;
    let id = world.submit(with(command("exit 0"), "session_id", json!("s"))).await;
    world.pass(millis(1_000)).await;
    let notices = lines(&world.get("/v1/sessions/s/completions?follow=false").await, "application/x-ndjson");
    assert_eq!((&notices[0]["ended"], &notices[0]["all_complete"]), (&json!([]), &json!(false)));
    let after = world.get("/v1/sessions/s/completions?follow=false&after=start").await;
    let ended = lines(&after, "application/x-ndjson")
        .into_iter()
        .flat_map(|notice| notice["ended"].as_array().unwrap().clone());
    assert_eq!(ended.map(|one| one["id"].clone()).collect::<Vec<_>>(), [json!(id)]);
}

fn lines(answer: &Answer, kind: &str) -> Vec<Value> {
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (200, &kind.parse().unwrap()),
        "{answer:?}"
    );
    let text = std::str::from_utf8(&answer.bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
