//! Tests of input to commands, and of conditions such as `ready` or waiting for input.

use crate::world::{World, command, millis, with};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn command_that_asks_is_flagged_until_it_is_answered() {
    let world = World::new().await;
    let id = world.submit(piped("ask")).await;
    world.pass(millis(2_000)).await;
    let asking = world.show(&id).await;
    assert_eq!((&asking["stdin"], &asking["conditions"]), (&json!("pipe"), &json!(["waiting_for_input"])));
    assert!(asking["idle_ms"].as_u64().unwrap() >= 1_900, "{asking:#}");
    let listed = world.get("/v1/processes").await.json();
    assert_eq!(listed["processes"][0]["conditions"], json!(["waiting_for_input"]));
    assert_eq!(listed["processes"][0]["listening_ports"], Value::Null);
    let written = world.post(&input(&id), json!({ "text": "yes\n" })).await;
    assert_eq!(written.json(), json!({ "id": id, "bytes": 4, "closed": false }));
    world.pass(millis(1_000)).await;
    assert_eq!(world.show(&id).await["conditions"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_as_they_are_and_a_closed_input_stays_closed() {
    let world = World::new().await;
    let id = world.submit(piped("cat")).await;
    world.pass(millis(10)).await;
    let written = world.post(&input(&id), json!({ "base64": "/wA=", "close": true })).await;
    assert_eq!(written.json(), json!({ "id": id, "bytes": 2, "closed": true }));
    world.pass(millis(1_000)).await;
    assert_eq!(world.show(&id).await["status"], "completed");
    let late = world.post(&input(&id), json!({ "text": "more" })).await.problem();
    assert_eq!((late.status, late.slug.as_str()), (409, "invalid_status_transition"));
    assert_eq!(late.current_status.as_deref(), Some("completed"));
}

#[tokio::test(start_paused = true)]
async fn input_without_a_reader_is_refused_with_the_way_out() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let asking = world.submit(piped("ask")).await;
    world.pass(millis(10)).await;
    let none = world.post(&input(&id), json!({ "text": "x" })).await.problem();
    assert_eq!((none.status, none.slug.as_str()), (409, "unsupported"));
    assert!(none.help.unwrap().contains("stdin_pipe"));
    world.post(&input(&asking), json!({ "close": true })).await.json();
    let closed = world.post(&input(&asking), json!({ "text": "x" })).await.problem();
    assert_eq!((closed.status, closed.slug.as_str()), (409, "input_closed"));
    for nothing in [json!({}), json!({ "text": "" }), json!({ "text": "x", "base64": "AA==" })] {
        assert_eq!(world.post(&input(&asking), nothing.clone()).await.problem().status, 400, "{nothing}");
    }
    assert_eq!(world.post(&input("unknown"), json!({ "close": true })).await.problem().status, 404);
    let stale = format!("{}?revision=1", input(&asking));
    let moved = world.post(&stale, json!({ "text": "x" })).await.problem();
    assert_eq!((moved.status, moved.slug.as_str()), (409, "revision_conflict"));
}

#[tokio::test(start_paused = true)]
async fn wait_for_ready_ends_when_the_port_is_open() {
    let world = World::new().await;
    let id = world.submit(in_command("serve 8080 3000", "ready_when", json!({ "port": 8080 }))).await;
    world.pass(millis(10)).await;
    let starting = world.show(&id).await;
    assert_eq!((&starting["ready"], &starting["listening_ports"]), (&json!(false), &json!([])));
    let wait = format!("/v1/wait?id={id}&for=ready");
    let reply = world.clock.run_until(millis(30_000), world.get(&wait)).await.unwrap().json();
    assert_eq!((&reply["timed_out"], &reply["processes"][0]["ready"]), (&json!(false), &json!(true)));
    assert_eq!(reply["processes"][0]["conditions"], json!([]), "the process has no condition");
    let ready = world.show(&id).await;
    assert_eq!(ready["listening_ports"], json!([{ "address": "127.0.0.1", "port": 8080 }]));
    let listed = world.get("/v1/processes?usage=true").await.json();
    assert_eq!(listed["processes"][0]["listening_ports"][0]["port"], 8080);
}

#[tokio::test(start_paused = true)]
async fn wait_for_ready_ends_if_the_process_ends_before() {
    let world = World::new().await;
    let id = world.submit(in_command("exit 7 500", "ready_when", json!({ "log": "up" }))).await;
    let wait = format!("/v1/wait?id={id}&for=ready");
    let reply = world.clock.run_until(millis(30_000), world.get(&wait)).await.unwrap().json();
    assert_eq!(reply["processes"][0]["exit_code"], 7);
    assert_eq!(reply["processes"][0]["ready"], false);
}

#[tokio::test(start_paused = true)]
async fn silence_is_reported_after_the_time_of_the_launch() {
    let world = World::new().await;
    let command = with(with(command("run"), "idle_after_ms", json!(5_000)), "stall_after_ms", json!(9_000));
    let id = world.submit(command).await;
    let work = json!({ "reported": {}, "idle_after_ms": 5_000 });
    let reported = world.submit(work).await;
    world.pass(millis(4_000)).await;
    assert_eq!(world.show(&id).await["conditions"], json!([]));
    world.pass(millis(2_000)).await;
    assert_eq!(world.show(&id).await["conditions"], json!(["idle"]));
    let quiet = world.show(&reported).await;
    assert_eq!((&quiet["conditions"], &quiet["stdin"]), (&json!(["idle"]), &Value::Null));
    assert_eq!((&quiet["idle_ms"], &quiet["ready"]), (&json!(6_000), &Value::Null));
    world.patch(&format!("/v1/processes/{reported}"), json!({ "progress": 5 })).await.json();
    world.pass(millis(4_000)).await;
    assert_eq!(world.show(&reported).await["conditions"], json!([]));
    assert_eq!(world.show(&id).await["conditions"], json!(["idle", "stalled"]));
}

#[tokio::test(start_paused = true)]
async fn unsupported_readiness_check_is_refused_at_the_launch() {
    let world = World::new().await;
    let watching = |watch: Value| in_command("run", "watch", json!([watch]));
    for launch in [
        in_command("run", "ready_when", json!({})),
        in_command("run", "ready_when", json!({ "port": 80, "log": "x" })),
        in_command("run", "ready_when", json!({ "port": 0 })),
        in_command("run", "ready_when", json!({ "http": "https://localhost" })),
        in_command("run", "ready_when", json!({ "log": "(" })),
        in_command("run", "ready_when", json!({ "command": [] })),
        in_command("run", "ready_when", json!([80])),
        watching(json!({ "name": "e", "pattern": "(" })),
        watching(json!({ "name": "", "pattern": "x" })),
        watching(json!({ "name": "e", "pattern": "x".repeat(1_025) })),
        watching(json!({ "name": "e", "pattern": "x", "stream": "stdlog" })),
        watching(json!(["e", "x", "both"])),
        with(command("run"), "idle_after_ms", json!(u64::MAX)),
        in_command("run", "stdin_pipe", json!("yes")),
    ] {
        let problem = world.post("/v1/processes", launch.clone()).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{launch}");
    }
    let good = json!({ "name": "error", "pattern": "(?i)error", "stream": "stderr" });
    world.submit(watching(good)).await;
}

fn input(id: &str) -> String {
    format!("/v1/processes/{id}/input")
}

fn piped(words: &str) -> Value {
    in_command(words, "stdin_pipe", json!(true))
}

/// Returns a launch request whose command has one additional field.
fn in_command(words: &str, field: &str, value: Value) -> Value {
    let mut launch = command(words);
    launch["command"][field] = value;
    launch
}
