//! Tests of the routes for test results.

use crate::world::{World, command, millis};
use longhaul_domain::{AttemptNo, ProcessId};
use longhaul_engine::ports::{AttemptKey, OutputSource};
use longhaul_testkit::fakes::FakeTestFiles;
use longhaul_wire::api::{RerunFailedReply, TestDiffView, TestResultsView};
use serde_json::{Value, json};
use std::sync::Arc;

const CARGO: &str = "running 3 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... FAILED\n\nfailures:\n\n---- b stdout \
    ----\n\nthread 'b' panicked at src/lib.rs:7:9:\nassertion `left == right` failed\n  left: 1\n right: 2\n\n---- c \
    stdout ----\n\nthread 'c' panicked at src/lib.rs:9:9:\nassertion `left == right` failed\n  left: 3\n right: 4\n\n\
    failures:\n    b\n    c\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished \
    in 0.01s\n\n";
const FIXED: &str = "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... FAILED\n\nfailures:\n\n---- c stdout \
    ----\n\nthread 'c' panicked at src/lib.rs:9:9:\nboom\n\nfailures:\n    c\n\ntest result: FAILED. 2 passed; 1 failed; 0 \
    ignored; 0 measured; 0 filtered out; finished in 0.01s\n\n";

async fn world() -> World {
    World::with(|settings| settings.test_runs.files = Arc::new(FakeTestFiles::default())).await
}

/// Runs a command that prints the output of a test run.
async fn ran(world: &World, text: &str, code: i32) -> String {
    let id = world.submit(command("cargo test")).await;
    world.pass(millis(100)).await;
    let key = AttemptKey { id: id.parse::<ProcessId>().unwrap(), attempt: AttemptNo(1) };
    world.spawner.output().write(key, OutputSource::Stdout, text.as_bytes());
    world.spawner.exit(key, code);
    world.pass(millis(5_000)).await;
    id
}

async fn results(world: &World, id: &str, query: &str) -> TestResultsView {
    let answer = world.get(&format!("/v1/processes/{id}/tests?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.json()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn failed_tests_are_listed_with_their_details_in_pages() {
    let world = world().await;
    let id = ran(&world, CARGO, 101).await;
    let view = results(&world, &id, "failed=true").await;
    assert_eq!((view.tests.total, view.tests.passed, view.tests.failed), (3, 1, 2));
    let ids: Vec<&str> = view.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["b", "c"]);
    assert_eq!((view.cases[0].file.as_deref(), view.cases[0].line), (Some("src/lib.rs"), Some(7)));
    assert_eq!(view.groups[0].count, 2, "{:?}", view.groups);
    let first = results(&world, &id, "limit=2").await;
    let rest = results(&world, &id, &format!("limit=2&cursor={}", first.cursor.unwrap())).await;
    assert_eq!((first.cases.len(), rest.cases.len(), rest.cursor), (2, 1, None));
    let brief = results(&world, &id, "failed=true&brief=true").await;
    assert!(brief.cases.iter().all(|case| case.trace.is_none()));
    let shown = world.show(&id).await;
    assert_eq!(shown["tests"]["failed"], 2);
}

#[tokio::test(start_paused = true)]
async fn two_runs_are_compared_and_failed_tests_run_again_in_a_linked_process() {
    let world = world().await;
    let base = ran(&world, CARGO, 101).await;
    let id = ran(&world, FIXED, 101).await;
    let answer = world.get(&format!("/v1/processes/{id}/tests/diff?base={base}")).await;
    let diff: TestDiffView = serde_json::from_value(answer.json()).unwrap();
    assert_eq!((diff.fixed.ids, diff.still_failing.ids), (vec!["b".to_owned()], vec!["c".to_owned()]));
    let path = format!("/v1/processes/{id}/rerun-failed");
    let dry = world.post(&path, json!({ "dry_run": true })).await;
    assert_eq!(dry.status, 200);
    let dry: RerunFailedReply = serde_json::from_value(dry.json()).unwrap();
    assert_eq!((dry.tests, dry.process.is_none()), (1, true));
    let answer = world.post(&path, json!({})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let reply: RerunFailedReply = serde_json::from_value(answer.json()).unwrap();
    let process = reply.process.unwrap();
    assert_eq!(answer.headers["location"], format!("/v1/processes/{}", process.id));
    assert_eq!((process.restarted_from.as_deref(), process.command), (Some(id.as_str()), dry.command));
}

#[tokio::test(start_paused = true)]
async fn invalid_requests_for_test_results_are_refused_with_the_reason() {
    let world = world().await;
    let id = world.launch("exit 0").await;
    world.pass(millis(100)).await;
    let problem = world.get(&format!("/v1/processes/{id}/tests")).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (404, "no_test_results"));
    let id = ran(&world, CARGO, 101).await;
    for query in ["limit=0", "max_tokens=1", "attempt=9", "cursor=x", "unknown=1"] {
        let problem = world.get(&format!("/v1/processes/{id}/tests?{query}")).await.problem();
        assert_eq!(problem.status, 400, "{query}");
    }
    assert_eq!(world.get(&format!("/v1/processes/{id}/tests/diff")).await.problem().status, 400);
    let refused = world.post(&format!("/v1/processes/{id}/rerun-failed?revision=1"), json!({})).await;
    assert_eq!(refused.problem().slug, "revision_conflict");
    let launch = |report: &str| {
        let mut launch: Value = command("cargo test");
        launch["command"]["report"] = json!(report);
        launch
    };
    assert_eq!(world.post("/v1/processes", launch("nonsense")).await.status, 400);
    assert_eq!(world.post("/v1/processes", launch("off")).await.status, 201);
}
