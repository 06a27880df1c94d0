use crate::world::{Answer, World, command, millis, with};
use axum::body::Body;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn launch_with_a_key_creates_one_process() {
    let world = World::new().await;
    let first = keyed(&world, "/v1/processes", "\"k-1\"", command("run")).await;
    assert_eq!((first.status.as_u16(), &first.json()["process"]["launch_key"]), (201, &json!("k-1")));
    let again = keyed(&world, "/v1/processes", "k-1", command("run")).await;
    assert_eq!((again.status.as_u16(), &again.json()["created"]), (200, &json!(false)));
    assert_eq!(again.json()["process"]["id"], first.json()["process"]["id"]);
    let reused = keyed(&world, "/v1/processes", "k-1", command("stubborn")).await.problem();
    assert_eq!((reused.status, reused.slug.as_str()), (422, "idempotency_key_reused"));
    let same = with(command("run"), "launch_key", json!("k-1"));
    assert_eq!(keyed(&world, "/v1/processes", "k-1", same).await.status, 200);
    let other = with(command("run"), "launch_key", json!("k-2"));
    assert_eq!(keyed(&world, "/v1/processes", "k-1", other).await.problem().status, 400);
    let torn = keyed(&world, "/v1/processes", "\"k", command("run")).await.problem();
    assert_eq!((torn.status, torn.slug.as_str()), (400, "invalid_request"));
}

#[tokio::test(start_paused = true)]
async fn restart_with_a_key_happens_once() {
    let world = World::new().await;
    let id = world.launch("exit 1").await;
    let other = world.launch("exit 1").await;
    world.pass(millis(10)).await;
    let path = format!("/v1/processes/{id}/restart");
    let first = keyed(&world, &path, "k", json!({})).await;
    assert_eq!(first.status, 201, "{first:?}");
    world.pass(millis(10)).await;
    let again = keyed(&world, &path, "k", json!({})).await;
    assert_eq!((again.status, again.bytes.clone()), (first.status, first.bytes.clone()));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_ne!(again.headers["x-request-id"], first.headers["x-request-id"]);
    let reused = keyed(&world, &format!("/v1/processes/{other}/restart"), "k", json!({})).await.problem();
    assert_eq!((reused.status, reused.slug.as_str()), (422, "idempotency_key_reused"));
    let second = keyed(&world, &path, "k2", json!({})).await.json();
    assert_ne!(second["process"]["id"], first.json()["process"]["id"]);
    let all = world.get("/v1/processes?all=true").await.json();
    assert_eq!(all["processes"].as_array().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn restart_with_a_key_happens_once_though_its_answer_is_forgotten() {
    let mut world = World::new().await;
    let id = world.launch("exit 1").await;
    let other = world.launch("exit 1").await;
    world.pass(millis(10)).await;
    let path = format!("/v1/processes/{id}/restart");
    let first = keyed(&world, &path, "k", json!({})).await;
    assert_eq!(first.status, 201, "{first:?}");
    for _ in 0..2 {
        world.reopen();
        let again = keyed(&world, &path, "k", json!({})).await;
        assert_eq!((again.status.as_u16(), &again.json()["created"]), (200, &json!(false)));
        assert_eq!(again.json()["process"]["id"], first.json()["process"]["id"]);
        // After these 10 ms the restarted process has ended.
        world.pass(millis(10)).await;
    }
    world.reopen();
    let of_other = format!("/v1/processes/{other}/restart");
    let reused = keyed(&world, &of_other, "k", json!({})).await.problem();
    assert_eq!((reused.status, reused.slug.as_str()), (422, "idempotency_key_reused"));
    let launched = keyed(&world, "/v1/processes", "l", command("exit 1")).await;
    assert_eq!(launched.status, 201, "{launched:?}");
    let reused = keyed(&world, &path, "l", json!({})).await.problem();
    assert_eq!((reused.status, reused.slug.as_str()), (422, "idempotency_key_reused"));
    let all = world.get("/v1/processes?all=true").await.json();
    assert_eq!(all["processes"].as_array().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn refusal_is_repeated_under_its_key_as_well() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let path = format!("/v1/processes/{id}/restart");
    for _ in 0..2 {
        let refused = keyed(&world, &path, "k", json!({})).await.problem();
        assert_eq!((refused.status, refused.slug.as_str()), (409, "invalid_status_transition"));
    }
}

async fn keyed(world: &World, path: &str, key: &str, body: Value) -> Answer {
    world.ask_with("POST", path, &[("idempotency-key", key)], Body::from(body.to_string())).await
}
