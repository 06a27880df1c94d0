//! Tests of the tools.

use crate::world::{Era, World, connect, launch, opening, with};
use rmcp::model::ClientCapabilities;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn command_is_a_shell_line_in_the_directory_and_with_the_variables_of_the_client() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let started = client.call("start_background_process", launch("run forever; or not")).await;
    assert_eq!(started["terminal"], false);
    assert_eq!(started["outcome"], "created");
    assert_eq!(started["process_type"], "build");
    let orders = world.orders.lock().unwrap();
    let command = &orders[0].command;
    assert_eq!(command.program, "/bin/sh");
    assert_eq!(command.args, ["-c", "run forever; or not"]);
    assert_eq!(command.directory, "/work");
    let variables: Vec<_> = orders[0].environment.iter().filter(|(name, _)| name == "TOKEN").collect();
    assert_eq!(variables.len(), 1);
}

#[tokio::test]
async fn command_with_arguments_needs_no_shell_and_a_directory_may_be_relative() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let asked = with(with(launch("run"), "args", json!(["a b", "$X"])), "cwd", json!("sub"));
    client.call("start_background_process", asked).await;
    let orders = world.orders.lock().unwrap();
    assert_eq!(orders[0].command.program, "run");
    assert_eq!(orders[0].command.args, ["a b", "$X"]);
    assert_eq!(orders[0].command.directory, "/work/sub");
}

#[tokio::test]
async fn without_a_directory_of_the_client_one_has_to_be_given() {
    let world = World::new().await;
    let client = world.client_of(Era::Stateless, json!({ "longhaul_mcp": 1 })).await;
    for asked in [launch("run"), with(launch("run"), "cwd", json!("sub"))] {
        let refused = client.refusal("start_background_process", asked).await;
        assert_eq!(refused["code"], "invalid_request");
        assert!(refused["message"].as_str().unwrap().contains("cwd"), "{refused}");
    }
    client.call("start_background_process", with(launch("run"), "cwd", json!("/elsewhere"))).await;
}

#[tokio::test]
async fn both_status_tools_return_the_complete_record() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = with(with(launch("exit 3 500"), "timeout", json!(60)), "metadata", json!({ "a": [1, null] }));
    let id = client.call("start_background_process", asked).await["process_id"].clone();
    world.pass(Duration::from_secs(1)).await;
    let told = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(told, client.call("get_background_process_status", json!({ "process_id": "a build" })).await);
    for (field, expected) in [
        ("status", json!("failed")),
        ("terminal", json!(true)),
        ("exit_code", json!(3)),
        ("name", json!("a build")),
        ("command", json!(["/bin/sh", "-c", "exit 3 500"])),
        ("directory", json!("/work")),
        ("timeout_s", json!(60.0)),
        ("elapsed_s", json!(0.5)),
        ("metadata", json!({ "a": [1, null] })),
        ("node_id", json!("here")),
        ("attempt", json!(1)),
    ] {
        assert_eq!(told[field], expected, "{field}: {told}");
    }
    for field in ["queued_at", "started_at", "completed_at", "error", "reason", "next", "revision", "exit"] {
        assert!(!told[field].is_null(), "{field}: {told}");
    }
    assert!(!told.to_string().contains("secret-value"));
    assert!(told.as_object().unwrap().values().all(|value| !value.is_null()));
}

#[tokio::test]
async fn process_that_failed_is_an_answer_and_an_unknown_one_an_error() {
    let client = World::new().await.client(Era::Initialize).await;
    let missing = client.refusal("get_process_status", json!({ "process_id": "unknown" })).await;
    assert_eq!(missing["code"], "process_not_found");
    assert_eq!(missing["hint"], "call list_background_processes to find the process");
    for (tool, arguments) in [
        ("get_process_status", json!({})),
        ("get_process_status", json!({ "process_id": 7 })),
        ("get_process_status", json!({ "process_id": "x", "verbose": true })),
        ("list_background_processes", json!({ "filter_type": "lost" })),
        ("list_background_processes", json!({ "limit": 0 })),
        ("start_background_process", with(launch("run"), "timeout", json!(-1))),
        ("start_background_process", with(launch("run"), "process_type", json!("nonsense"))),
        ("start_background_process", launch(" ")),
        ("wait_for_process", json!({ "process_ids": [] })),
    ] {
        assert_eq!(client.refusal(tool, arguments).await["code"], "invalid_request", "{tool}");
    }
    let wrong = client.refusal("list_background_processes", json!({ "filter_type": "lost" })).await;
    let message = wrong["message"].as_str().unwrap();
    for word in ["all", "running", "completed", "failed"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn quick_command_is_answered_by_the_start_call() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = with(launch("exit 2 300"), "wait_seconds", json!(5));
    let answer = world.until(client.call("start_background_process", asked)).await;
    assert_eq!((&answer["status"], &answer["exit_code"]), (&json!("failed"), &json!(2)));
    let asked = with(launch("sleep 600000"), "wait_seconds", json!(0.5));
    let answer = world.until(client.call("start_background_process", asked)).await;
    assert_eq!(answer["status"], "running");
}

#[tokio::test]
async fn launch_key_never_starts_a_second_copy() {
    let client = World::new().await.client(Era::Initialize).await;
    let asked = with(launch("run"), "launch_key", json!("one"));
    let first = client.call("start_background_process", asked.clone()).await;
    let second = client.call("start_background_process", asked).await;
    assert_eq!(first["process_id"], second["process_id"]);
    assert_eq!(second["outcome"], "already_running");
}

#[tokio::test]
async fn list_is_filtered_by_status_and_type() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    client.start("exit 0 1").await;
    client.start("exit 1 1").await;
    client.start("run").await;
    client.call("start_background_process", with(launch("run"), "process_type", json!("server"))).await;
    world.pass(Duration::from_secs(1)).await;
    let list = async |arguments: Value| {
        let listed = client.call("list_background_processes", arguments).await;
        let each = listed["processes"].as_array().unwrap().iter();
        each.map(|process| process["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(json!({})).await, ["running", "running", "failed", "completed"]);
    assert_eq!(list(json!({ "filter_type": "running" })).await, ["running", "running"]);
    assert_eq!(list(json!({ "filter_type": "completed" })).await, ["completed"]);
    assert_eq!(list(json!({ "filter_type": "failed" })).await, ["failed"]);
    assert_eq!(list(json!({ "process_type": "server" })).await, ["running"]);
    let first = client.call("list_background_processes", json!({ "limit": 3 })).await;
    assert_eq!(first["live"], json!({ "running": 2 }));
    let rest = json!({ "cursor": first["next_cursor"] });
    assert_eq!(list(rest).await, ["completed"]);
}

#[tokio::test]
async fn list_shows_session_and_command() {
    let world = World::new().await;
    let bound = world.client_of(Era::Stateless, with(opening(), "session", json!("bob"))).await;
    bound.start(&format!("run {}", "x".repeat(100))).await;
    let listed = world.client(Era::Initialize).await.call("list_background_processes", json!({})).await;
    let row = &listed["processes"][0];
    assert_eq!((&row["session_id"], &row["directory"]), (&json!("bob"), &json!("/work")), "{row}");
    assert!(row["started_at"].is_string(), "{row}");
    assert_eq!(row["command"], format!("run {}…", "x".repeat(56)), "the line, without its shell");
}

#[tokio::test]
async fn start_accepts_the_agent_of_the_process_and_patterns_to_report() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let mut asked = launch("run");
    for (field, value) in [
        ("agent_id", json!("child-1")),
        ("agent_type", json!("coder")),
        ("capabilities", json!(["read", "write"])),
        ("priority", json!(7)),
        ("node_id", json!("here")),
        ("watch", json!(["stderr:oops=^E", "up=listening on \\d+"])),
    ] {
        asked[field] = value;
    }
    let id = client.call("start_background_process", asked.clone()).await["process_id"].clone();
    let told = client.call("get_process_status", json!({ "process_id": id })).await;
    for field in ["agent_id", "agent_type", "capabilities", "priority", "node_id"] {
        assert_eq!(told[field], asked[field], "{field}");
    }
    {
        let orders = world.orders.lock().unwrap();
        let watch: Vec<_> = orders[0]
            .command
            .watch
            .iter()
            .map(|watch| (watch.name.as_str(), watch.pattern.as_str()))
            .collect();
        assert_eq!(watch, [("oops", "^E"), ("up", "listening on \\d+")]);
    }
    let refused =
        client.refusal("start_background_process", with(launch("run"), "watch", json!(["^E"]))).await;
    assert!(refused["message"].as_str().unwrap().contains("watch"), "{refused}");
    let listed = client.call("list_background_processes", json!({ "agent_id": "child-1" })).await;
    let row = &listed["processes"][0];
    assert_eq!((&row["process_id"], &row["agent_id"], &row["level"]), (&id, &json!("child-1"), &json!(0)));
    assert_eq!(row["updated_at"], listed["last_changed"]);
    let none = client.call("list_background_processes", json!({ "agent_id": "other" })).await;
    assert_eq!(none["processes"], json!([]));
}

#[tokio::test]
async fn agent_with_two_live_processes_is_read_but_not_stopped() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = with(launch("run"), "agent_id", json!("child-1"));
    for _ in 0..2 {
        client.call("start_background_process", asked.clone()).await;
    }
    let reference = json!({ "process_id": "agent:child-1" });
    client.call("get_process_status", reference.clone()).await;
    let refused = client.refusal("stop_background_process", reference).await;
    assert_eq!(refused["code"], "ambiguous_id");
    assert_eq!(refused["candidates"].as_array().unwrap().len(), 2, "{refused}");
}

#[tokio::test]
async fn tree_is_listed_counted_and_stopped_by_levels() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let below = async |parent: &Value| {
        let asked = with(launch("run"), "parent_id", parent.clone());
        client.call("start_background_process", asked).await["process_id"].clone()
    };
    let root = json!(client.start("run").await);
    let (first, second) = (below(&root).await, below(&root).await);
    let deep = below(&first).await;
    let other = json!(client.start("run").await);
    let ids = |listed: &Value| -> Vec<Value> {
        listed["processes"].as_array().unwrap().iter().map(|row| row["process_id"].clone()).collect()
    };
    let listed = client.call("list_background_processes", json!({ "tree": deep })).await;
    assert_eq!(ids(&listed), [deep.clone(), second.clone(), first.clone(), root.clone()]);
    assert_eq!(listed["live_by_level"], json!({ "0": 1, "1": 2, "2": 1 }));
    assert_eq!((&listed["tree_stats"]["live"], &listed["tree_stats"]["failures"]), (&json!(4), &json!(0)));
    let level = client.call("list_background_processes", json!({ "tree": root, "level": 1 })).await;
    assert_eq!(ids(&level), [second.clone(), first.clone()]);
    let all = client.call("list_background_processes", json!({})).await;
    assert_eq!(all["live_by_level"], json!({ "0": 2, "1": 2, "2": 1 }));
    assert_eq!(all["tree_stats"], Value::Null, "only the statistics of one tree are counted");
    let stop = client.call("stop_background_process", json!({ "process_id": root, "level": 1 }));
    let stopped = world.until(stop).await;
    assert_eq!((&stopped["process_id"], &stopped["status"]), (&root, &json!("running")));
    let mut told: Vec<Value> = stopped["stopped"].as_array().unwrap().clone();
    told.sort_by_key(ToString::to_string);
    let mut expected = vec![first, second];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(told, expected);
    let live = client.call("list_background_processes", json!({ "filter_type": "running" })).await;
    assert_eq!(ids(&live), [other, root], "descendants of the level have ended too");
}

#[tokio::test]
async fn stop_waits_for_the_end() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    for (words, force) in [("run", false), ("stubborn", false), ("stubborn", true)] {
        let id = client.start(words).await;
        let asked = json!({ "process_id": id, "force": force });
        let stopped = world.until(client.call("stop_background_process", asked.clone())).await;
        assert_eq!((&stopped["status"], &stopped["changed"]), (&json!("cancelled"), &json!(true)), "{words}");
        let again = client.call("stop_background_process", asked).await;
        assert_eq!((&again["changed"], &again["outcome"]), (&json!(false), &json!("already_ended")));
    }
}

#[tokio::test]
async fn stop_waits_for_the_end_of_the_whole_tree() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let root = client.start("run").await;
    let child = with(launch("stubborn"), "parent_id", json!(root));
    let child = client.call("start_background_process", child).await["process_id"].clone();
    let stopped = world.until(client.call("stop_background_process", json!({ "process_id": root }))).await;
    assert_eq!((&stopped["status"], &stopped["terminal"]), (&json!("cancelled"), &json!(true)), "{stopped}");
    let status = client.call("get_process_status", json!({ "process_id": child })).await;
    assert_eq!((&status["status"], &status["terminal"]), (&json!("cancelled"), &json!(true)), "{status}");
}

#[tokio::test]
async fn stop_that_cannot_wait_longer_says_that_descendants_are_ending() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let root = client.start("run").await;
    let patient = json!({
        "command": { "program": "stubborn", "directory": "/", "grace_ms": 40_000 },
        "parent_id": root,
    });
    world.api.launch(serde_json::from_value(patient).unwrap()).await.unwrap();
    let stop = json!({ "process_id": root });
    let stopped = world.until(client.call("stop_background_process", stop.clone())).await;
    assert_eq!((&stopped["status"], &stopped["terminal"]), (&json!("cancelled"), &json!(false)), "{stopped}");
    assert_eq!(stopped["cancelling_descendants"], true);
    assert!(stopped["next"].as_str().unwrap().contains("still being stopped"), "{stopped}");
    let stopped = world.until(client.call("stop_background_process", with(stop, "force", json!(true)))).await;
    assert_eq!(
        (&stopped["terminal"], &stopped["cancelling_descendants"]),
        (&json!(true), &Value::Null),
        "{stopped}"
    );
}

#[tokio::test]
async fn process_is_paused_and_resumed_with_all_its_descendants() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let top = client.start("run").await;
    let launch = json!({ "process_type": "build", "name": "below", "command": "run", "parent_id": top });
    let below = client.call("start_background_process", launch).await;
    world.pass(std::time::Duration::from_millis(10)).await;
    for (tool, status) in [("pause_process", "paused"), ("resume_process", "running")] {
        assert_eq!(client.call(tool, json!({ "process_id": top })).await["status"], status);
        let asked = json!({ "process_id": below["process_id"] });
        assert_eq!(client.call("get_process_status", asked).await["status"], status, "{tool}");
    }
}

#[tokio::test]
async fn process_is_paused_resumed_and_restarted() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("exit 1 60000").await;
    let one = json!({ "process_id": id });
    assert_eq!(client.call("pause_process", one.clone()).await["status"], "paused");
    assert_eq!(client.call("pause_process", one.clone()).await["changed"], false);
    assert_eq!(client.call("resume_process", one.clone()).await["status"], "running");
    let early = client.refusal("restart_process", one.clone()).await;
    assert_eq!(
        (&early["code"], &early["current_status"]),
        (&json!("invalid_status_transition"), &json!("running"))
    );
    assert_eq!(early["hint"], "the process is still running: with stop: true it is stopped first");
    world.until(client.call("stop_background_process", one.clone())).await;
    let again = client.call("restart_process", one).await;
    assert_eq!(again["restarted_from"], json!(id));
    assert_ne!(again["process_id"], json!(id));
    let live = json!({ "process_id": again["process_id"], "stop": true });
    let third = world.until(client.call("restart_process", live.clone())).await;
    assert_eq!(third["restarted_from"], again["process_id"]);
    let second = client.call("get_process_status", json!({ "process_id": again["process_id"] })).await;
    assert_eq!(second["status"], "cancelled");
}

#[tokio::test]
async fn process_that_could_not_be_started_is_not_said_to_have_output() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = with(with(launch("missing"), "args", json!([])), "wait_seconds", json!(5));
    let answer = world.until(client.call("start_background_process", asked)).await;
    assert_eq!(answer["status"], "failed", "{answer}");
    assert!(answer["next"].as_str().unwrap().starts_with("the process could not be started"), "{answer}");
}

#[tokio::test]
async fn wrong_value_is_answered_with_the_most_similar_valid_value() {
    let client = World::new().await.client(Era::Initialize).await;
    let asked = with(launch("run"), "process_type", json!("test"));
    let refused = client.refusal("start_background_process", asked).await;
    assert!(refused["message"].as_str().unwrap().ends_with("not \"test\"; nearest: test_suite"), "{refused}");
    let asked = with(launch("run"), "process_type", json!("custom:lint"));
    assert_eq!(client.call("start_background_process", asked).await["process_type"], "custom:lint");
}

#[tokio::test]
async fn reported_work_is_registered_reported_on_and_ended() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = json!({
        "process_type": "analysis",
        "name": "reading",
        "description": "all of it",
        "node_id": "laptop",
        "agent_id": "reader-1",
        "agent_type": "reader",
        "agent": "codex",
        "model": "large",
        "prompt": "read all of it",
        "heartbeat_seconds": 60,
    });
    let registered = client.call("register_process", asked).await;
    assert_eq!(registered["status"], "running");
    let id = registered["process_id"].clone();
    let report = json!({ "process_id": id, "progress": 40, "stage": "chapter 3" });
    let told = client.call("report_progress", report).await;
    assert_eq!((&told["progress"], &told["stage"]), (&json!(40.0), &json!("chapter 3")));
    let early = client.refusal("report_progress", json!({ "process_id": id, "result": 9 })).await;
    assert!(early["hint"].as_str().unwrap().contains("complete_process"), "{early}");
    let done = client.call("complete_process", json!({ "process_id": id, "result": { "pages": 9 } })).await;
    assert_eq!(done["status"], "completed");
    let whole = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(whole["result"], json!({ "pages": 9 }));
    assert_eq!((&whole["node_id"], &whole["agent_id"]), (&json!("laptop"), &json!("reader-1")));
    assert_eq!(whole["agent_type"], "reader");
    let task = [&whole["agent"], &whole["model"], &whole["prompt"]];
    assert_eq!(task, [&json!("codex"), &json!("large"), &json!("read all of it")]);
    let late = client.refusal("fail_process", json!({ "process_id": id, "error": "no" })).await;
    assert_eq!(late["code"], "invalid_status_transition");

    let second = client.call("register_process", json!({ "process_type": "custom", "name": "n" })).await;
    let failed = json!({ "process_id": second["process_id"], "error": "it broke" });
    let failed = client.call("fail_process", failed).await;
    assert_eq!((&failed["status"], &failed["terminal"]), (&json!("failed"), &json!(true)));
    let command = client.start("run").await;
    let refused = client.refusal("complete_process", json!({ "process_id": command })).await;
    assert_eq!(refused["code"], "unsupported");
}

#[tokio::test]
async fn everything_of_a_bound_client_belongs_to_its_session_and_parent() {
    let world = World::new().await;
    let parent = world.client(Era::Initialize).await.start("run").await;
    let bound = with(with(opening(), "session", json!("s-1")), "parent", json!(parent));
    let client = world.client_of(Era::Stateless, bound).await;
    let started = client.call("start_background_process", launch("run")).await;
    assert_eq!((&started["session_id"], &started["parent_id"]), (&json!("s-1"), &json!(parent)));
    let registered = client.call("register_process", json!({ "process_type": "custom", "name": "n" })).await;
    assert_eq!(registered["session_id"], "s-1");
    let other = with(launch("run"), "session_id", json!("s-2"));
    assert_eq!(client.refusal("start_background_process", other).await["code"], "invalid_request");
    let whole = client.call("get_process_status", json!({ "process_id": parent })).await;
    assert_eq!(whole["child_counts"], json!({ "total": 2, "live": 2 }));
}

#[tokio::test]
async fn one_that_waits_for_a_slot_says_where_it_stands() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let key: longhaul_domain::SlotKey = "gpu".parse().unwrap();
    world
        .api
        .change_queue(&key.to_string(), serde_json::from_value(json!({ "slots": 1 })).unwrap())
        .await
        .unwrap();
    let asked = with(launch("run"), "concurrency_key", json!("gpu"));
    client.call("start_background_process", asked.clone()).await;
    let second = client.call("start_background_process", asked).await;
    assert_eq!((&second["status"], &second["queue_position"]), (&json!("pending"), &json!(1)));
}

#[tokio::test]
async fn end_of_a_client_ends_no_process() {
    let world = World::new().await;
    let stream = connect(&world.mcp, &opening()).await;
    let client = crate::world::Client::over(stream, Era::Initialize, ClientCapabilities::default()).await;
    let id = client.start("run").await;
    client.running.cancel().await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    let other = world.client(Era::Stateless).await;
    assert_eq!(other.call("get_process_status", json!({ "process_id": id })).await["status"], "running");
}
