use crate::world::{World, command, millis, with};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn session_end_applies_the_policy_of_each_process() {
    let world = World::new().await;
    let keeps = world.submit(of_session("run", json!({}))).await;
    let cancels = world.submit(of_session("run", json!({ "on_session_end": "cancel" }))).await;
    let grace = json!({ "on_session_end": "grace", "session_grace_ms": 5_000 });
    let leaves = world.submit(of_session("run", grace)).await;
    let stranger = world.submit(with(command("run"), "on_session_end", json!("cancel"))).await;
    world.pass(millis(10)).await;
    let reply = world.post("/v1/sessions/s%201/end", json!({})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let outcomes = reply.json()["outcomes"].as_array().unwrap().clone();
    let of = |id: &str| outcomes.iter().find(|outcome| outcome["id"] == id).unwrap().clone();
    assert_eq!(outcomes.len(), 3);
    assert_eq!((&of(&keeps)["changed"], &of(&keeps)["note"]), (&json!(false), &json!("kept_by_policy")));
    assert_eq!(of(&cancels)["process"]["status"], "stopping");
    let leaving = &of(&leaves)["process"];
    assert_eq!(leaving["cancel_at"], "2023-11-14T22:13:25.010Z");
    assert_eq!(
        leaving["reason"],
        "the session has ended; the process will be cancelled at 2023-11-14T22:13:25.010Z"
    );
    world.pass(millis(6_000)).await;
    assert_eq!(world.show(&keeps).await["status"], "running");
    assert_eq!(world.show(&leaves).await["reason"], "cancelled with its session, killed by signal 15 (TERM)");
    assert_eq!(world.show(&stranger).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn end_of_a_session_may_say_otherwise_for_all() {
    let world = World::new().await;
    let id = world.submit(of_session("run", json!({}))).await;
    world.pass(millis(1)).await;
    let body = json!({ "policy": "grace", "grace_ms": 1_000 });
    world.post("/v1/sessions/s%201/end", body).await;
    assert_eq!(world.show(&id).await["cancel_at"], "2023-11-14T22:13:21.001Z");
    world.post("/v1/sessions/s%201/end", json!({ "policy": "cancel" })).await;
    world.pass(millis(20)).await;
    assert_eq!(world.show(&id).await["status"], "cancelled");
}

#[tokio::test(start_paused = true)]
async fn end_of_a_session_that_no_process_belongs_to_is_refused() {
    let world = World::new().await;
    let reply = world.post("/v1/sessions/nope/end", json!({})).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["type"].as_str()),
        (404, Some("session_not_found")),
        "{reply:?}"
    );
    world.submit(of_session("exit 0", json!({}))).await;
    world.pass(millis(10)).await;
    let reply = world.post("/v1/sessions/s%201/end", json!({})).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["outcomes"]),
        (200, &json!([])),
        "the processes of the session have ended"
    );
}

#[tokio::test(start_paused = true)]
async fn default_grace_period_is_the_configured_one() {
    let world = World::new().await;
    let declared = world.submit(of_session("run", json!({ "on_session_end": "grace" }))).await;
    assert_eq!(world.show(&declared).await["session_grace_ms"], 30_000);
    let keeps = world.submit(of_session("run", json!({}))).await;
    world.post("/v1/sessions/s%201/end", json!({ "policy": "grace" })).await;
    for id in [&declared, &keeps] {
        assert_eq!(world.show(id).await["cancel_at"], "2023-11-14T22:13:50.000Z");
    }
    let kept = world.post("/v1/sessions/s%201/end", json!({ "policy": "keep" })).await.json();
    assert_eq!(kept["outcomes"][0]["changed"], true);
    assert_eq!(world.show(&keeps).await["cancel_at"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn session_lists_its_processes_by_the_parameters_of_the_list() {
    let world = World::new().await;
    let ended = world.submit(of_session("exit 0", json!({}))).await;
    let live = world.submit(of_session("run", json!({}))).await;
    world.launch("run").await;
    world.pass(millis(10)).await;
    let list = async |query: &str| {
        let page = world.get(&format!("/v1/sessions/s%201{query}")).await.json();
        let ids = page["processes"].as_array().unwrap().iter().map(|process| process["id"].clone());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(list("").await, [live.as_str(), &ended]);
    assert_eq!(list("?all=true").await, [live.as_str(), &ended]);
    assert_eq!(list("?live=true").await, [live.as_str()]);
    assert_eq!(list("?all=false").await, [live.as_str()]);
    assert_eq!(world.get("/v1/sessions/s?session=t").await.problem().slug, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn policies_of_a_launch_are_shown_and_absurd_ones_refused() {
    let world = World::new().await;
    let declared = json!({ "children": "cancel", "on_session_end": "grace", "session_grace_ms": 2_500 });
    let shown = world.submit(of_session("run", declared)).await;
    let shown = world.show(&shown).await;
    assert_eq!((&shown["children"], &shown["on_session_end"]), (&json!("cancel"), &json!("grace")));
    assert_eq!((&shown["session_grace_ms"], &shown["cancel_at"]), (&json!(2_500), &json!(null)));
    let usual = world.launch("run").await;
    let usual = world.show(&usual).await;
    assert_eq!((&usual["children"], &usual["on_session_end"]), (&json!("keep"), &json!("keep")));
    for refused in [
        json!({ "children": "eat" }),
        json!({ "on_session_end": "whatever" }),
        json!({ "on_session_end": "cancel", "session_grace_ms": 1 }),
        json!({ "session_grace_ms": 1 }),
        json!({ "on_session_end": "grace", "session_grace_ms": u64::MAX }),
        json!({ "on_session_end": "grace", "session_grace_ms": -1 }),
    ] {
        let problem = world.post("/v1/processes", of_session("run", refused.clone())).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{refused}");
    }
    for refused in
        [json!({ "policy": "eat" }), json!({ "policy": "keep", "grace_ms": 1 }), json!({ "grace_ms": 1 })]
    {
        let problem = world.post("/v1/sessions/s/end", refused.clone()).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{refused}");
    }
    let problem = world.post(&format!("/v1/sessions/{}/end", "s".repeat(300)), json!({})).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
}

fn of_session(words: &str, more: Value) -> Value {
    let mut launch = with(command(words), "session_id", json!("s 1"));
    for (field, value) in more.as_object().unwrap() {
        launch[field] = value.clone();
    }
    launch
}

#[tokio::test(start_paused = true)]
async fn sessions_are_listed_with_counts_newest_first() {
    let world = World::new().await;
    assert_eq!(world.get("/v1/sessions").await.json()["sessions"], json!([]));
    let of = |words: &str, session: &str| with(command(words), "session_id", json!(session));
    world.submit(of("exit 0 1", "old")).await;
    world.submit(of("run", "alice")).await;
    world.pass(millis(1_000)).await;
    world.submit(of("exit 1 1", "bob")).await;
    world.submit(of("run", "bob")).await;
    world.submit(command("run")).await;
    world.pass(millis(1_000)).await;
    let listed = world.get("/v1/sessions").await.json();
    let sessions = listed["sessions"].as_array().unwrap();
    let counts = |place: usize| {
        let session = &sessions[place];
        (session["session_id"].as_str().unwrap(), session["live"].as_u64(), session["ended"].as_u64())
    };
    assert_eq!(counts(0), ("bob", Some(1), Some(1)));
    let mut rest = [counts(1), counts(2)];
    rest.sort_unstable();
    assert_eq!(rest, [("alice", Some(1), Some(0)), ("old", Some(0), Some(1))]);
    assert_eq!(sessions.len(), 3, "a process without a session belongs to no session");
    assert_eq!(world.get("/v1/sessions?limit=1").await.problem().slug, "invalid_request");
}
