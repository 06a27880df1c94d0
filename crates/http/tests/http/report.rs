use crate::world::{World, millis};
use axum::body::Body;
use longhaul_wire::api::Problem;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn reported_work_runs_at_once_and_is_completed_by_its_reporter() {
    let world = World::new().await;
    let id = reported(&world).await;
    let begun = world.show(&id).await;
    assert_eq!((&begun["status"], &begun["progress"]), (&json!("running"), &json!(0.0)));
    assert_eq!(begun["node_id"], "far-away");
    let path = format!("/v1/processes/{id}/complete");
    let outcome = world.post(&path, json!({"result": {"rows": 3}})).await.json();
    assert_eq!(outcome["process"]["result"], json!({"rows": 3}));
    assert_eq!(outcome["process"]["progress"], 100.0);
    let again = world.post(&path, json!({})).await.json();
    assert_eq!(again["changed"], false);
    let problem = world.post(&format!("/v1/processes/{id}/fail"), json!({"error": "late"})).await.problem();
    assert_eq!(problem.slug, "invalid_status_transition");
    assert_eq!(problem.current_status.as_deref(), Some("completed"));
}

#[tokio::test(start_paused = true)]
async fn update_keeps_progress_and_stage_and_gives_an_estimate() {
    let world = World::new().await;
    let id = reported(&world).await;
    let first = update(&world, &id, json!({"progress": 10, "stage": "reading"})).await;
    assert_eq!(
        (&first["process"]["progress"], &first["process"]["stage"]),
        (&json!(10.0), &json!("reading"))
    );
    assert_eq!(first["process"]["eta_ms"], json!(null));
    world.pass(millis(10_000)).await;
    let second = update(&world, &id, json!({"progress": 20})).await;
    assert_eq!(second["process"]["stage"], "reading");
    assert_eq!(second["process"]["eta_ms"], 80_000);
    assert_eq!(update(&world, &id, json!({"status": "running"})).await["process"]["status"], "running");
    let ended = update(&world, &id, json!({"progress": 60, "status": "failed"})).await;
    assert_eq!(
        (&ended["process"]["status"], &ended["process"]["progress"]),
        (&json!("failed"), &json!(60.0))
    );
    assert_eq!(ended["process"]["eta_ms"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn reporter_cannot_ask_for_every_status() {
    let world = World::new().await;
    let id = reported(&world).await;
    for status in ["interrupted", "timeout", "pending", "lost"] {
        let body = Body::from(json!({ "status": status }).to_string());
        let problem = world.ask("PATCH", &format!("/v1/processes/{id}"), body).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn command_cannot_be_completed_by_a_reporter() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let problem = world.post(&format!("/v1/processes/{id}/complete"), json!({})).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "unsupported"));
    assert_eq!(problem.attempted.as_deref(), Some("complete"));
}

#[tokio::test(start_paused = true)]
async fn failure_keeps_the_reporters_words() {
    let world = World::new().await;
    let id = reported(&world).await;
    let outcome = world.post(&format!("/v1/processes/{id}/fail"), json!({"error": "disk full"})).await.json();
    assert_eq!(
        (&outcome["process"]["status"], &outcome["process"]["error"]),
        (&json!("failed"), &json!("disk full"))
    );
}

#[tokio::test(start_paused = true)]
async fn failure_without_a_word_is_refused() {
    let world = World::new().await;
    let id = reported(&world).await;
    for body in [json!({}), json!({"error": " "})] {
        assert_eq!(world.post(&format!("/v1/processes/{id}/fail"), body).await.problem().status, 400);
    }
    assert_eq!(world.show(&id).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn update_with_an_end_that_is_refused_keeps_nothing() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let before = world.show(&id).await;
    let problem = refused(&world, &id, json!({"status": "completed", "progress": 77, "stage": "x"})).await;
    assert_eq!((problem.status, problem.slug.as_str()), (409, "unsupported"));
    let after = world.show(&id).await;
    assert_eq!(
        (&after["progress"], &after["stage"], &after["revision"]),
        (&before["progress"], &before["stage"], &before["revision"])
    );
}

#[tokio::test(start_paused = true)]
async fn update_with_an_end_that_is_there_changes_nothing() {
    let world = World::new().await;
    let id = reported(&world).await;
    let body = json!({"status": "completed", "progress": 90, "stage": "last"});
    assert_eq!(update(&world, &id, body.clone()).await["changed"], true);
    let again = update(&world, &id, body).await;
    assert_eq!((&again["changed"], &again["note"]), (&json!(false), &json!("no_change")));
    let problem = refused(&world, &id, json!({"status": "failed", "progress": 1})).await;
    assert_eq!((problem.status, problem.attempted.as_deref()), (409, Some("fail")));
}

#[tokio::test(start_paused = true)]
async fn running_is_nothing_new_while_it_runs_and_refused_after_the_end() {
    let world = World::new().await;
    let id = reported(&world).await;
    for body in [json!({"status": "running"}), json!({})] {
        let quiet = update(&world, &id, body).await;
        assert_eq!((&quiet["changed"], &quiet["note"]), (&json!(false), &json!("no_change")));
    }
    assert_eq!(update(&world, &id, json!({"status": "running", "progress": 5})).await["changed"], true);
    update(&world, &id, json!({"status": "completed"})).await;
    let problem = refused(&world, &id, json!({"status": "running", "progress": 5})).await;
    assert_eq!(problem.title, "cannot set the status running on a process that is completed");
    assert_eq!((problem.status, problem.attempted.as_deref()), (409, Some("running")));
    assert_eq!(problem.current_status.as_deref(), Some("completed"));
}

async fn refused(world: &World, id: &str, body: Value) -> Problem {
    world.ask("PATCH", &format!("/v1/processes/{id}"), Body::from(body.to_string())).await.problem()
}

async fn reported(world: &World) -> String {
    let launch = json!({ "reported": { "node_id": "far-away" }, "session_id": "s" });
    let answer = world.post("/v1/processes", launch).await.json();
    answer["process"]["id"].as_str().unwrap().to_owned()
}

async fn update(world: &World, id: &str, body: Value) -> Value {
    let body = Body::from(body.to_string());
    let answer = world.ask("PATCH", &format!("/v1/processes/{id}"), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}
