use crate::world::{World, millis};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn dry_run_of_prune_reports_the_pruned_records() {
    let world = World::new().await;
    let old = world.launch("exit 0").await;
    let live = world.launch("run").await;
    world.pass(millis(120_000)).await;
    let body = |dry_run: bool| json!({ "older_than_ms": 60_000, "dry_run": dry_run });
    let dry = world.post("/v1/prune", body(true)).await;
    assert_eq!(dry.status, 200, "{dry:?}");
    let (dry, bytes) = (dry.json(), dry.json()["bytes"].clone());
    assert_eq!(dry, json!({ "dry_run": true, "ids": [old], "count": 1, "bytes": bytes, "total": 0 }));
    assert_eq!(world.show(&old).await["status"], "completed");
    let done = world.post("/v1/prune", body(false)).await.json();
    assert_eq!(done, json!({ "dry_run": false, "ids": [old], "count": 1, "bytes": bytes, "total": 1 }));
    assert_eq!(world.get(&format!("/v1/processes/{old}")).await.problem().slug, "process_not_found");
    assert_eq!(world.show(&live).await["status"], "running");
    assert_eq!(world.get("/v1/health").await.json()["pruned"], 1);
}

#[tokio::test(start_paused = true)]
async fn prune_without_a_bound_or_with_an_absurd_one_is_refused() {
    let world = World::new().await;
    for body in [
        json!({}),
        json!({ "dry_run": true }),
        json!({ "keep": -1 }),
        json!({ "older_than_ms": "7d" }),
        json!({ "older": 1 }),
    ] {
        let problem = world.post("/v1/prune", body.clone()).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn reset_reports_the_stopped_processes_and_requires_confirmation() {
    let world = World::new().await;
    let ended = world.launch("exit 0").await;
    let live = world.launch("run").await;
    world.pass(millis(10)).await;
    for body in [json!({}), json!({ "dry_run": true, "confirm": true })] {
        let problem = world.post("/v1/reset", body).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
    }
    let dry = world.post("/v1/reset", json!({ "dry_run": true })).await.json();
    assert_eq!(dry, json!({ "dry_run": true, "stopped": [live], "removed": 2, "remaining": [] }));
    assert_eq!(world.show(&live).await["status"], "running");
    let clear = async { world.post("/v1/reset", json!({ "confirm": true })).await.json() };
    let done = tokio::select! {
        done = clear => done,
        () = async { loop { world.pass(millis(100)).await } } => unreachable!(),
    };
    assert_eq!(done, json!({ "dry_run": false, "stopped": [live], "removed": 2, "remaining": [] }));
    for id in [ended, live] {
        assert_eq!(world.get(&format!("/v1/processes/{id}")).await.status, 404);
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_work_is_run_again_once_however_often_it_is_asked() {
    let world = World::new().await;
    let lost = world.launch("lost 10").await;
    let fine = world.launch("exit 0").await;
    world.pass(millis(100)).await;
    assert_eq!(world.show(&lost).await["status"], "interrupted");
    let again = world.post("/v1/restart-interrupted", json!({ "ids": [&lost[..8]] })).await;
    assert_eq!(again.status, 200, "{again:?}");
    let again = again.json();
    assert_eq!(again["processes"].as_array().unwrap().len(), 1);
    assert_eq!(again["processes"][0]["restarted_from"], lost.as_str());
    let twice = world.post("/v1/restart-interrupted", json!({ "ids": [lost] })).await.json();
    assert_eq!(twice["processes"][0]["id"], again["processes"][0]["id"]);
    let problem = world.post("/v1/restart-interrupted", json!({ "ids": [fine] })).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
    let problem = world.post("/v1/restart-interrupted", json!({ "ids": ["unknown"] })).await.problem();
    assert_eq!(problem.slug, "process_not_found");
}
