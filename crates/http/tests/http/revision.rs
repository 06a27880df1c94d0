use crate::world::{World, command, millis, with};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn command_decided_on_an_older_revision_is_refused_and_does_nothing() {
    let world = World::new().await;
    let running = world.launch("run").await;
    let reported = world.submit(json!({ "reported": {} })).await;
    let pending = world.submit(with(command("run"), "delay_ms", json!(60_000))).await;
    let ended = world.launch("exit 0").await;
    world.pass(millis(10)).await;
    for (id, verb, body) in [
        (&running, "cancel", json!({})),
        (&running, "cancel", json!({ "no_descendants": true })),
        (&running, "cancel", json!({ "no_descendants": true, "force": true })),
        (&running, "pause", json!({})),
        (&running, "pause", json!({ "no_descendants": true })),
        (&running, "resume", json!({})),
        (&running, "signal", json!({ "signal": "USR1" })),
        (&running, "resume", json!({ "no_descendants": true })),
        (&pending, "priority", json!({ "priority": 3 })),
        (&pending, "priority", json!({ "first": true })),
        (&pending, "retry", json!({})),
        (&ended, "restart", json!({})),
        (&ended, "cancel", json!({})),
        (&reported, "complete", json!({})),
        (&reported, "fail", json!({ "error": "no" })),
    ] {
        let before = world.show(id).await;
        let problem = world.post(&format!("/v1/processes/{id}/{verb}?revision=999"), body).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (409, "revision_conflict"), "{verb}");
        assert_eq!(world.show(id).await["revision"], before["revision"], "{verb}");
        let problem = world.post(&format!("/v1/processes/{id}/{verb}?revison=1"), json!({})).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{verb}");
    }
    let path = format!("/v1/processes/{reported}");
    let body = || json!({ "progress": 50, "stage": "last", "status": "completed" });
    assert_eq!(
        world.patch(&format!("{path}?revision=999"), body()).await.problem().slug,
        "revision_conflict"
    );
    let now = world.show(&reported).await;
    assert_eq!((&now["progress"], &now["status"]), (&json!(0.0), &json!("running")));
    let revision = &now["revision"];
    let done = world.patch(&format!("{path}?revision={revision}"), body()).await;
    assert_eq!((done.status.as_u16(), &done.json()["process"]["status"]), (200, &json!("completed")));
}

#[tokio::test(start_paused = true)]
async fn command_decided_on_the_present_revision_is_obeyed() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(10)).await;
    let revision = world.show(&id).await["revision"].clone();
    let path = format!("/v1/processes/{id}/pause?revision={revision}");
    assert_eq!(world.post(&path, json!({})).await.json()["process"]["status"], "paused");
    assert_eq!(world.post(&path, json!({})).await.problem().slug, "revision_conflict");
}
