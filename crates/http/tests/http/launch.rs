use crate::world::{World, command, millis, with};
use axum::body::Body;
use longhaul_domain::Policy;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn launched_command_is_created_and_shown_in_full() {
    let world = World::new().await;
    let launch = with(command("exit 7 1500"), "name", json!("tests"));
    let launch = with(launch, "metadata", json!({"a": [1, 2]}));
    let answer = world.post("/v1/processes", launch).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["longhaul-protocol"], "1");
    assert_eq!(answer.json()["created"], true);
    world.pass(millis(100)).await;
    let running = world.show("tests").await;
    assert_eq!(running["status"], "running");
    assert_eq!(running["reason"], json!(null));
    assert_eq!(running["command"], json!(["exit", "7", "1500"]));
    assert_eq!(running["metadata"], json!({"a": [1, 2]}));
    assert_eq!(running["duration_ms"], 100);
    assert_eq!(running["containment"], "subreaper");
    assert!(running["pid"].is_u64() && running["log_path"].is_string());
    world.pass(millis(5_000)).await;
    let ended = world.show("tests").await;
    assert_eq!(ended["status"], "failed");
    assert_eq!(ended["exit_code"], 7);
    assert_eq!(ended["reason"], "exited with code 7");
    assert_eq!(ended["error"], "exited with code 7");
    assert_eq!(ended["duration_ms"], 1_500);
    assert_eq!(ended["pid"], json!(null));
    assert!(ended["completed_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test(start_paused = true)]
async fn completed_command_is_done_to_the_full() {
    let world = World::new().await;
    let id = world.launch("exit 0").await;
    world.pass(millis(10)).await;
    let ended = world.show(&id).await;
    assert_eq!((&ended["status"], &ended["progress"]), (&json!("completed"), &json!(100.0)));
    assert_eq!(ended["error"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn taken_launch_key_answers_with_the_process_that_has_it() {
    let world = World::new().await;
    let launch = with(command("run"), "launch_key", json!("k"));
    let first = world.post("/v1/processes", launch.clone()).await.json();
    let second = world.post("/v1/processes", launch).await;
    assert_eq!(second.status, 200);
    assert_eq!(
        (&second.json()["created"], &second.json()["outcome"]),
        (&json!(false), &json!("already_running"))
    );
    assert_eq!(second.json()["process"]["id"], first["process"]["id"]);
    let other = with(command("stubborn"), "launch_key", json!("k"));
    let problem = world.post("/v1/processes", other).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "key_conflict"));
    assert_eq!(problem.candidates, [first["process"]["id"].as_str().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn launch_that_would_wait_is_refused_when_it_must_not() {
    let world = World::with(|settings| settings.policy = Some(one_slot("opus"))).await;
    let keyed = with(command("run"), "key", json!("opus"));
    let holder = world.post("/v1/processes", keyed.clone()).await.json();
    let refused = with(keyed.clone(), "no_queue", json!(true));
    let problem = world.post("/v1/processes", refused).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "no_slot"));
    assert_eq!(problem.candidates, [holder["process"]["id"].as_str().unwrap()]);
    let waiting = world.post("/v1/processes", keyed).await.json();
    assert_eq!(waiting["process"]["pending"]["why"], "queued");
    assert_eq!(waiting["process"]["reason"], "waits for a slot of the key opus");
}

#[tokio::test(start_paused = true)]
async fn launch_beyond_the_limit_of_the_node_waits_or_is_refused() {
    let world = World::with(|settings| settings.max_parallel = 1).await;
    world.launch("run").await;
    let refused = with(command("run"), "no_queue", json!(true));
    let problem = world.post("/v1/processes", refused).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "no_slot"));
    assert!(problem.detail.unwrap().contains("limits.max_parallel"));
    let waiting = world.launch("run").await;
    let waiting = world.show(&waiting).await;
    assert_eq!(waiting["reason"], "waits because its node runs the maximum number of processes");
}

#[tokio::test(start_paused = true)]
async fn command_waiting_for_its_retry_says_when_and_why() {
    let world = World::new().await;
    let retry = json!({ "retries": 2, "first_ms": 4_000, "cap_ms": 4_000 });
    let answer = world.post("/v1/processes", with(command("exit 1"), "retry", retry)).await.json();
    world.pass(millis(10)).await;
    let seen = world.show(answer["process"]["id"].as_str().unwrap()).await;
    assert_eq!(seen["pending"]["why"], "retry");
    assert_eq!(seen["pending"]["last_error"], "exited with code 1");
    assert_eq!(seen["max_attempts"], 3);
    let reason = seen["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("retry 1 of 2 in ") && reason.ends_with(" s after: exited with code 1"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn children_are_launched_under_whatever_names_the_parent() {
    let world = World::new().await;
    let parent = world.launch("run").await;
    let child = with(command("run"), "parent_id", json!(parent[..8]));
    let child = world.post("/v1/processes", child).await.json();
    assert_eq!(child["process"]["parent_id"], parent.as_str());
    assert_eq!(child["process"]["level"], 1);
    let orphan = with(command("run"), "parent_id", json!("unknown"));
    let problem = world.post("/v1/processes", orphan).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (404, "process_not_found"));
}

#[tokio::test(start_paused = true)]
async fn start_that_failed_says_why() {
    let world = World::new().await;
    let id = world.launch("missing").await;
    world.pass(millis(10)).await;
    let seen = world.show(&id).await;
    assert_eq!(seen["status"], "failed");
    assert_eq!(seen["error"], "could not be started: no such program");
}

#[tokio::test(start_paused = true)]
async fn captured_environment_reaches_the_command_but_no_response() {
    let world = World::new().await;
    let mut launch = command("run");
    launch["command"]["environment"] = json!({
        "captured": { "HOME": "/home/me", "TOKEN": "hunter2" },
        "declared": { "MODE": "test" },
        "removed": ["TOKEN"],
    });
    let answer = world.post("/v1/processes", launch).await;
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("hunter2"));
    world.pass(millis(1)).await;
    let environment = world.orders.lock().unwrap()[0].environment.clone();
    let value = |name: &str| {
        let found = environment.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!((value("HOME"), value("MODE"), value("TOKEN")), (Some("/home/me"), Some("test"), None));
}

#[tokio::test(start_paused = true)]
async fn unreadable_body_is_an_invalid_request() {
    let world = World::new().await;
    for body in [
        "{",
        "[]",
        r#"{"comand": {}}"#,
        r#"{"command": {"program": 7}}"#,
        r#"{"command": {"program": "x", "directory": "relative"}}"#,
        "{}",
        "",
        "\u{0}\u{1}",
        "[[\"x\", [], \"/\"]]",
        r#"{"command": ["x", [], "/work"]}"#,
        r#"{"command": {"program": "x", "directory": "/work", "limits": [7]}}"#,
    ] {
        let problem = world.ask("POST", "/v1/processes", Body::from(body)).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{body}");
        assert!(problem.detail.is_some(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn deepest_json_that_is_taken_can_be_read_in_a_list() {
    let world = World::new().await;
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    let kept = world.post("/v1/processes", with(command("run"), "metadata", nested(64))).await;
    assert_eq!(kept.status, 201);
    let problem = world.post("/v1/processes", with(command("run"), "metadata", nested(65))).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
    assert!(problem.detail.unwrap().contains("64"));
    let reported = world.post("/v1/processes", json!({ "reported": {} })).await.json();
    let path = format!("/v1/processes/{}/complete", reported["process"]["id"].as_str().unwrap());
    assert_eq!(world.post(&path, json!({ "result": nested(65) })).await.problem().status, 400);
    assert_eq!(world.post(&path, json!({ "result": nested(64) })).await.status, 200);
    let all = world.get("/v1/processes?all=true").await.json();
    assert_eq!(all["processes"][0]["result"], nested(64));
    assert_eq!(all["processes"][1]["metadata"], nested(64));
}

#[tokio::test(start_paused = true)]
async fn reference_that_is_no_text_is_an_invalid_request() {
    let world = World::new().await;
    let problem = world.get("/v1/processes/%ff%fe").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
}

#[tokio::test(start_paused = true)]
async fn body_of_more_than_a_mebibyte_is_refused() {
    let world = World::new().await;
    let body = Body::from(vec![b' '; 1024 * 1024 + 1]);
    let problem = world.ask("POST", "/v1/processes", body).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (413, "payload_too_large"));
}

#[tokio::test(start_paused = true)]
async fn unknown_routes_and_methods_are_problems_too() {
    let world = World::new().await;
    let problem = world.get("/v2/anything").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (404, "not_found"));
    let problem = world.ask("DELETE", "/v1/processes", Body::empty()).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (405, "method_not_allowed"));
}

#[tokio::test(start_paused = true)]
async fn version_and_health_answer() {
    let world = World::new().await;
    assert_eq!(world.get("/v1/version").await.json()["version"], "1.2.3");
    let health = world.get("/v1/health").await;
    let retention = json!({ "age_ms": 60_000, "count": 7, "bytes": null });
    let expected = json!({ "status": "ok", "pruned": 0, "retention": retention });
    assert_eq!((health.status.as_u16(), health.json()), (200, expected));
    assert_eq!(health.headers["longhaul-protocol"], "1");
}

#[tokio::test(start_paused = true)]
async fn start_time_of_a_launch_is_respected() {
    let world = World::new().await;
    let id = world.submit(with(command("run"), "not_before", json!("2023-11-14T23:13:25+01:00"))).await;
    let waits = world.show(&id).await;
    assert_eq!(waits["pending"]["due_at"], "2023-11-14T22:13:25.000Z");
    world.pass(millis(5_010)).await;
    assert_eq!(world.show(&id).await["status"], "running");
    let past = world.submit(with(command("run"), "not_before", json!("1999-01-01T00:00:00Z"))).await;
    world.pass(millis(10)).await;
    assert_eq!(world.show(&past).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn launch_key_distinguishes_running_ended_and_different_launches() {
    let world = World::new().await;
    let launch = with(command("exit 0 1000"), "launch_key", json!("k"));
    let outcome = async || world.post("/v1/processes", launch.clone()).await.json()["outcome"].clone();
    assert_eq!(outcome().await, "created");
    assert_eq!(outcome().await, "already_running");
    world.pass(millis(2_000)).await;
    assert_eq!(outcome().await, "already_ended");
    let mut other = with(launch.clone(), "type", json!("build"));
    other["command"]["directory"] = json!("/elsewhere");
    let problem = world.post("/v1/processes", other).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "key_conflict"));
    assert_eq!(problem.differs, ["directory", "type"]);
}

fn one_slot(key: &str) -> Policy {
    Policy { slots: [(key.to_owned(), 1)].into(), ..Policy::default() }
}
