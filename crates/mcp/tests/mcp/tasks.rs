//! Tests of tasks: waits whose result a client requests later.

use crate::world::{Client, Era, World, connect, opening, with};
use rmcp::model::{
    CallToolResponse, CancelTaskParams, ClientCapabilities, GetTaskParams, Task, TaskPayload, TaskStatus,
};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn wait_becomes_a_task_that_ends_with_the_process() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    let id = client.start("exit 3 5000").await;
    let task = begun(&client, json!({ "process_ids": [id] })).await;
    assert_eq!(task.status, TaskStatus::Working);
    assert_eq!(task.ttl_ms, None);
    assert_eq!(task.poll_interval_ms, Some(2_000));
    let asked = client.running.get_task(GetTaskParams::new(&task.task_id)).await.unwrap().task;
    assert_eq!(asked.status(), TaskStatus::Working);
    assert_eq!(asked.task.status_message.as_deref(), Some("0 of 1 ended; a build running"));
    world.pass(Duration::from_secs(6)).await;
    let done = client.running.get_task(GetTaskParams::new(&task.task_id)).await.unwrap().task;
    let TaskPayload::Completed { result } = done.payload else { panic!("{done:?}") };
    assert_eq!(result["structuredContent"]["processes"][0]["exit_code"], 3);
    assert_eq!(result["isError"], false);
    assert_eq!(result["structuredContent"]["reason"], "met");
}

#[tokio::test]
async fn task_outlives_the_manager() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    let (gone, kept) = (client.start("run").await, client.start("exit 0 3000").await);
    let cancelled = begun(&client, json!({ "process_ids": [gone] })).await;
    let task = begun(&client, json!({ "process_ids": [gone, kept], "mode": "any" })).await;
    client.running.cancel_task(CancelTaskParams::new(&cancelled.task_id)).await.unwrap();
    world.pass(Duration::from_secs(4)).await;
    let next = world.tasks_client(&world.restarted()).await;
    let status = async |task: &Task| {
        next.running.get_task(GetTaskParams::new(&task.task_id)).await.unwrap().task.status()
    };
    assert_eq!(status(&cancelled).await, TaskStatus::Cancelled);
    assert_eq!(status(&task).await, TaskStatus::Completed);
}

#[tokio::test]
async fn read_only_client_cannot_cancel_a_task() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    let id = client.start("run").await;
    let task = begun(&client, json!({ "process_ids": [id] })).await;
    let capabilities = ClientCapabilities::builder().enable_tasks().build();
    let stream = connect(&world.mcp, &with(opening(), "read_only", json!(true))).await;
    let reader = Client::over(stream, Era::Stateless, capabilities).await;
    reader.running.cancel_task(CancelTaskParams::new(&task.task_id)).await.unwrap_err();
    let now = reader.running.get_task(GetTaskParams::new(&task.task_id)).await.unwrap().task;
    assert_eq!(now.status(), TaskStatus::Working);
}

#[tokio::test]
async fn cancelled_task_ends_the_wait_and_never_the_process_and_one_that_is_met_stays_so() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    let id = client.start("exit 0 5000").await;
    let (first, second) = (
        begun(&client, json!({ "process_ids": [id] })).await,
        begun(&client, json!({ "process_ids": [id] })).await,
    );
    assert_ne!(first.task_id, second.task_id);
    client.running.cancel_task(CancelTaskParams::new(&first.task_id)).await.unwrap();
    assert_eq!(client.call("get_process_status", json!({ "process_id": id })).await["status"], "running");
    world.pass(Duration::from_secs(6)).await;
    client.running.cancel_task(CancelTaskParams::new(&second.task_id)).await.unwrap();
    let status = async |task: &Task| {
        client.running.get_task(GetTaskParams::new(&task.task_id)).await.unwrap().task.status()
    };
    assert_eq!(status(&first).await, TaskStatus::Cancelled);
    assert_eq!(status(&second).await, TaskStatus::Completed);
}

#[tokio::test]
async fn fulfilled_wait_or_wait_with_a_timeout_creates_no_task() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    let ended = client.start("exit 0 1").await;
    let going = client.start("run").await;
    world.pass(Duration::from_secs(1)).await;
    let met = client.call("wait_for_process", json!({ "process_ids": [ended] })).await;
    assert_eq!(met["reason"], "met");
    let timed = json!({ "process_ids": [going], "timeout_seconds": 1 });
    let timed = world.until(client.call("wait_for_process", timed)).await;
    assert_eq!(timed["reason"], "timeout");
    let missing = client.refusal("wait_for_process", json!({ "process_ids": ["unknown"] })).await;
    assert_eq!(missing["code"], "process_not_found");
}

#[tokio::test]
async fn start_never_answers_with_a_task_and_other_clients_never_get_one() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    let launch = json!({ "process_type": "build", "name": "n", "command": "run", "wait_seconds": 0.2 });
    assert_eq!(world.until(client.call("start_background_process", launch)).await["status"], "running");
    for era in [Era::Initialize, Era::Stateless] {
        let plain = world.client(era).await;
        let asked = json!({ "process_ids": ["n"] });
        let answer = world.until(plain.call("wait_for_process", asked)).await;
        assert_eq!(answer["reason"], "timeout", "{era:?}");
        assert!(plain.running.get_task(GetTaskParams::new("w_00")).await.is_err(), "{era:?}");
    }
}

#[tokio::test]
async fn forged_task_id_is_refused() {
    let world = World::new().await;
    let client = world.tasks_client(&world.mcp).await;
    for id in ["", "w_", "w_00", "nonsense"] {
        assert!(client.running.get_task(GetTaskParams::new(id)).await.is_err(), "{id}");
        assert!(client.running.cancel_task(CancelTaskParams::new(id)).await.is_err(), "{id}");
    }
}

async fn begun(client: &crate::world::Client, arguments: Value) -> Task {
    let response = client.response("wait_for_process", arguments).await;
    let CallToolResponse::Task(created) = response else { panic!("{response:?}") };
    created.task
}
