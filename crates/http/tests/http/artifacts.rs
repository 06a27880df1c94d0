//! Tests of the routes for artifacts.

use crate::world::{World, command, millis};
use axum::body::Body;
use longhaul_wire::api::{ArtifactsState, ArtifactsView};
use serde_json::{Value, json};

fn keeping(words: &str, patterns: &[&str]) -> Value {
    let mut launch = command(words);
    launch["command"]["artifacts"] = json!(patterns);
    launch
}

async fn listed(world: &World, id: &str) -> ArtifactsView {
    let answer = world.get(&format!("/v1/processes/{id}/artifacts")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.json()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn artifacts_are_listed_and_served_as_downloads() {
    let world = World::new().await;
    let files = world.spawner.artifacts();
    files.write("/work/out/a b.html", b"<script>");
    files.write("/work/out/big", &vec![b'x'; 600_000]);
    files.link("/work/out/link");
    let id = world.submit(keeping("run", &["out", "*.log"])).await;
    world.pass(millis(10)).await;
    assert_eq!(listed(&world, &id).await.state, ArtifactsState::Pending);
    world.post(&format!("/v1/processes/{id}/cancel"), json!({})).await;
    world.pass(millis(10_000)).await;
    let list = listed(&world, &id).await;
    assert_eq!((list.state, list.attempt, list.bytes), (ArtifactsState::Copied, 1, 600_008));
    let paths: Vec<&str> = list.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["out/a b.html", "out/big"]);
    assert_eq!((list.skipped[0].reason.as_str(), list.skipped[0].path.as_str()), ("link", "out/link"));
    assert_eq!(list.unmatched, ["*.log"]);

    for path in ["out/a%20b.html", "out%2Fa%20b.html"] {
        let answer = world.get(&format!("/v1/processes/{id}/artifacts/{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.bytes.as_slice()), (200, b"<script>".as_slice()));
        assert_eq!(answer.headers["content-type"], "application/octet-stream");
        assert_eq!(answer.headers["content-disposition"], "attachment");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["content-length"], "8");
    }
    let whole = world.get(&format!("/v1/processes/{id}/artifacts/out/big")).await;
    assert!(whole.bytes == vec![b'x'; 600_000], "{}", whole.bytes.len());
    let rest = world.get(&format!("/v1/processes/{id}/artifacts/out/big?from=599990")).await;
    assert_eq!((rest.bytes.len(), &rest.headers["content-length"]), (10, &"10".parse().unwrap()));
    let beyond = world.get(&format!("/v1/processes/{id}/artifacts/out/big?from=700000")).await;
    assert_eq!((beyond.status.as_u16(), beyond.bytes.len()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn only_listed_files_are_served() {
    let world = World::new().await;
    world.spawner.artifacts().write("/work/a", b"x");
    world.spawner.artifacts().write("/etc/passwd", b"secret");
    let id = world.submit(keeping("exit 0", &["a"])).await;
    world.pass(millis(10)).await;
    let paths =
        ["b", "../a", "..%2F..%2Fetc/passwd", "%2Fetc%2Fpasswd", "a/", ".", "a%00", "list.json", "%FF"];
    for path in paths {
        let answer = world.get(&format!("/v1/processes/{id}/artifacts/{path}")).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{path}: {answer:?}");
        answer.problem();
    }
    let unknown = world.get(&format!("/v1/processes/{id}/artifacts/b")).await;
    assert_eq!(unknown.problem().slug, "artifact_not_found");
    let attempt = world.get(&format!("/v1/processes/{id}/artifacts?attempt=2")).await;
    assert_eq!(attempt.problem().slug, "invalid_request");
    let written = world.ask("POST", &format!("/v1/processes/{id}/artifacts/a"), Body::empty()).await;
    assert_eq!(written.status, 405);
}

#[tokio::test(start_paused = true)]
async fn invalid_patterns_are_refused_and_work_without_artifacts_has_the_state_none() {
    let world = World::new().await;
    for pattern in ["/etc/passwd", "../x", "[a", ""] {
        let answer = world.post("/v1/processes", keeping("exit 0", &[pattern])).await;
        let problem = answer.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{pattern}");
        assert!(problem.title.contains("artifacts"), "{problem:?}");
    }
    let many = vec!["a"; 65];
    assert_eq!(world.post("/v1/processes", keeping("exit 0", &many)).await.status, 400);
    let id = world.launch("exit 0").await;
    world.pass(millis(10)).await;
    assert_eq!(listed(&world, &id).await.state, ArtifactsState::None);
    let reported = world.submit(json!({ "reported": {} })).await;
    assert_eq!(listed(&world, &reported).await.state, ArtifactsState::None);
}
