use crate::world::{World, millis};

#[tokio::test(start_paused = true)]
async fn wait_answers_when_all_or_any_have_ended() {
    let world = World::new().await;
    let fast = world.launch("exit 0 100").await;
    let slow = world.launch("exit 3 10000").await;
    let both = format!("id={slow}&id={fast}");
    let any =
        world.clock.run_until(millis(5_000), world.get(&format!("/v1/wait?{both}&mode=any"))).await.unwrap();
    let reply = any.json();
    assert_eq!(reply["processes"][0]["status"], "running");
    assert_eq!(reply["processes"][1]["status"], "completed");
    let all = world.clock.run_until(millis(20_000), world.get(&format!("/v1/wait?{both}"))).await.unwrap();
    assert_eq!(all.json()["processes"][0]["exit_code"], 3);
    assert_eq!(all.json()["timed_out"], false);
}

#[tokio::test(start_paused = true)]
async fn patience_that_is_over_answers_too() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let wait = format!("/v1/wait?id={id}&timeout_ms=55000");
    let reply = world.clock.run_until(millis(60_000), world.get(&wait)).await.unwrap().json();
    assert_eq!(reply["timed_out"], true);
    assert_eq!(reply["processes"][0]["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn wait_for_running_ends_when_it_runs() {
    let world = World::new().await;
    let id = world.launch("slow 2000").await;
    let wait = format!("/v1/wait?id={id}&for=running");
    let reply = world.clock.run_until(millis(10_000), world.get(&wait)).await.unwrap().json();
    assert_eq!(reply["processes"][0]["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn disconnect_ends_only_the_wait() {
    let world = World::new().await;
    let id = world.launch("exit 0 1000").await;
    let wait = format!("/v1/wait?id={id}");
    {
        let gone = world.get(&wait);
        assert!(world.clock.run_until(millis(100), gone).await.is_none());
    }
    let reply = world.clock.run_until(millis(5_000), world.get(&wait)).await.unwrap().json();
    assert_eq!(reply["processes"][0]["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn wait_without_processes_or_for_unknown_processes_is_refused() {
    let world = World::new().await;
    assert_eq!(world.get("/v1/wait").await.problem().status, 400);
    assert_eq!(world.get("/v1/wait?id=unknown").await.problem().status, 404);
    let id = world.launch("run").await;
    for query in ["mode=both", "for=ever", "timeout_ms=-1", "timeout=5"] {
        assert_eq!(world.get(&format!("/v1/wait?id={id}&{query}")).await.problem().status, 400, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn wait_for_a_word_that_never_comes_is_refused() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(10)).await;
    let never_told = world.get(&format!("/v1/wait?id={id}&for=ready&timeout_ms=10")).await.problem();
    assert_eq!((never_told.status, never_told.slug.as_str()), (400, "invalid_request"));
    let unknown = world.get(&format!("/v1/wait?id={id}&for=dinner")).await.problem();
    assert_eq!((unknown.status, unknown.slug.as_str()), (400, "invalid_request"));
}
