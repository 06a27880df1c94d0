use crate::world::{World, command, millis, with};
use longhaul_domain::{CommandSpec, Placement, Policy, Spec, Work};
use longhaul_engine::{Launch, Launcher};
use serde_json::{Value, json};

const NOON: &str = "2023-11-14T22:13:20.000Z";

#[tokio::test(start_paused = true)]
async fn queue_shows_slots_holders_and_waiting_times() {
    let world = one_slot().await;
    let (holder, waiter) = two(&world).await;
    world.pass(millis(1_500)).await;
    assert_eq!(
        world.get("/v1/queues").await.json(),
        json!({
            "queues": [{
                "key": "opus",
                "slots": 1,
                "held": null,
                "running": 1,
                "waiting": 1,
                "oldest_at": NOON,
                "oldest_wait_ms": 1_500,
                "holders": [holder],
                "waiters": [waiter],
            }],
            "slots": { "opus": 1 },
            "default_slots": 5,
            "at": "2023-11-14T22:13:21.500Z",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn unused_queue_shows_its_slots() {
    let world = one_slot().await;
    let shown = world.get("/v1/queues/a%2Fb%20c").await.json();
    assert_eq!(shown["queues"].as_array().unwrap().len(), 1);
    let queue = &shown["queues"][0];
    assert_eq!((&queue["key"], &queue["slots"]), (&json!("a/b c"), &json!(5)));
    assert_eq!((&queue["running"], &queue["waiting"]), (&json!(0), &json!(0)));
    assert_eq!(world.get("/v1/queues").await.json()["queues"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn raised_limit_lets_a_waiter_start_at_once() {
    let world = one_slot().await;
    let (_, waiter) = two(&world).await;
    let changed = world.patch("/v1/queues/opus", json!({ "slots": 2 })).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json()["slots"], json!({ "opus": 2 }));
    world.pass(millis(10)).await;
    assert_eq!(world.show(&waiter).await["status"], "running");
    let unlimited = world.patch("/v1/queues/opus", json!({ "slots": 0 })).await.json();
    assert_eq!(unlimited["queues"][0]["slots"], json!(null));
    let default = world.patch("/v1/queues/opus", json!({ "slots": "default" })).await.json();
    // The key now has the configured number of slots again.
    let configured = (&json!({ "opus": 1 }), &json!(1));
    assert_eq!((&default["slots"], &default["queues"][0]["slots"]), configured);
}

#[tokio::test(start_paused = true)]
async fn limits_are_set_by_pattern_and_for_all_others() {
    let world = World::new().await;
    let changed = world.patch("/v1/queues/claude-*", json!({ "slots": 2 })).await.json();
    assert_eq!(changed["slots"], json!({ "claude-*": 2 }));
    assert_eq!(world.get("/v1/queues/claude-opus").await.json()["queues"][0]["slots"], 2);
    let changed = world.patch("/v1/queues/*", json!({ "slots": 3 })).await.json();
    assert_eq!(changed["default_slots"], 3);
    let changed = world.patch("/v1/queues/*", json!({ "slots": "default" })).await.json();
    assert_eq!(changed["default_slots"], 5);
}

#[tokio::test(start_paused = true)]
async fn held_queue_starts_no_process_and_names_the_author() {
    let world = one_slot().await;
    let held = world.patch("/v1/queues/opus", json!({ "held": true, "by": "ada" })).await.json();
    assert_eq!(held["queues"][0]["held"], json!({ "since": NOON, "by": "ada" }));
    let waiter = world.submit(keyed()).await;
    world.pass(millis(1_000)).await;
    let shown = world.show(&waiter).await;
    assert_eq!((&shown["status"], &shown["pending"]["why"]), (&json!("pending"), &json!("held")));
    assert_eq!(shown["reason"], format!("ada put the queue of the key opus on hold at {NOON}"));
    let listed = world.get("/v1/processes").await.json();
    assert_eq!(listed["processes"][0]["pending"]["why"], "held");
    assert_eq!(
        why(&world, &waiter).await,
        json!({
            "id": waiter,
            "name": null,
            "status": "pending",
            "why": "held",
            "reason": format!("ada put the queue of the key opus on hold at {NOON}; the process is next"),
            "key": "opus",
            "position": 1,
            "ahead": 0,
            "slots": null,
            "holders": [],
            "deadlocked": false,
            "held": { "since": NOON, "by": "ada" },
            "due_at": null,
            "next_attempt": null,
            "last_error": null,
            "first_error": null,
            "earlier_attempts": [],
            "placement": null,
            "queued_at": NOON,
            "at": "2023-11-14T22:13:21.000Z",
        })
    );
    world.patch("/v1/queues/opus", json!({ "held": false })).await;
    world.pass(millis(10)).await;
    assert_eq!(world.show(&waiter).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn why_names_the_position_in_the_queue_and_the_slot_holders() {
    let world = one_slot().await;
    let holder = world.submit(with(keyed(), "name", json!("first one"))).await;
    let (next, last) = (world.submit(keyed()).await, world.submit(keyed()).await);
    let reported = why(&world, &last).await;
    assert_eq!(
        (&reported["position"], &reported["ahead"], &reported["slots"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(reported["reason"], "waits for a slot of the key opus (1 of 1 taken); 1 process is ahead");
    assert_eq!(
        reported["holders"],
        json!([{ "id": holder, "name": "first one", "status": "running", "started_at": NOON }])
    );
    assert_eq!(why(&world, &next).await["position"], 1);
    let reported = why(&world, &holder).await;
    assert_eq!((&reported["why"], &reported["status"]), (&json!("not_waiting"), &json!("running")));
    assert_eq!(reported["reason"], "the process does not wait: it is running");
}

#[tokio::test(start_paused = true)]
async fn why_distinguishes_a_full_node_a_delay_and_a_retry() {
    let world = World::with(|settings| settings.max_parallel = 1).await;
    let delayed = world.submit(with(command("run"), "delay_ms", json!(60_000))).await;
    let retry = json!({ "retries": 2, "first_ms": 4_000, "cap_ms": 4_000 });
    let retrying = world.submit(with(command("exit 1"), "retry", retry)).await;
    world.pass(millis(10)).await;
    let runs = world.launch("run").await;
    let crowded = world.launch("run").await;
    let reported = why(&world, &crowded).await;
    assert_eq!((&reported["why"], &reported["slots"]), (&json!("node_full"), &json!(1)));
    assert_eq!(reported["holders"][0]["id"], runs.as_str());
    assert_eq!(
        reported["reason"],
        "its node has reached its limit of running processes (1); the process is next"
    );
    let reported = why(&world, &delayed).await;
    assert_eq!(
        (&reported["why"], &reported["due_at"]),
        (&json!("delayed"), &json!("2023-11-14T22:14:20.000Z"))
    );
    let reported = why(&world, &retrying).await;
    assert_eq!((&reported["why"], &reported["next_attempt"]), (&json!("retry"), &json!(2)));
    assert_eq!(reported["last_error"], "exited with code 1");
}

#[tokio::test(start_paused = true)]
async fn process_that_no_node_may_run_says_where_it_would() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for placement in [
        Placement::Labels(vec!["gpu".parse().unwrap(), "arm".parse().unwrap()]),
        Placement::Node("moon".parse().unwrap()),
    ] {
        let command = Work::Command(Box::new(CommandSpec::of("run", &[], "/work")));
        let spec = Spec { placement, ..Spec::of(command) };
        let launch =
            Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false };
        ids.push(world.engine.launch(launch).await.unwrap().stored.process.id.to_string());
    }
    for (id, placement, reason) in [
        (&ids[0], "gpu, arm", "no node has all required labels: gpu, arm"),
        (&ids[1], "moon", "only the node moon may run the process, and it is absent"),
    ] {
        let shown = world.show(id).await;
        assert_eq!((&shown["pending"]["why"], &shown["reason"]), (&json!("no_node"), &json!(reason)));
        let reported = why(&world, id).await;
        assert_eq!((&reported["why"], &reported["reason"]), (&json!("no_node"), &json!(reason)));
        assert_eq!(reported["placement"], placement);
    }
}

#[tokio::test(start_paused = true)]
async fn slots_that_ancestors_of_waiters_hold_are_said_to_be_stalled() {
    let world = World::with(|settings| {
        settings.policy = Some(Policy { slots: [("opus".to_owned(), 2)].into(), ..Policy::default() });
    })
    .await;
    let (one, two) = two(&world).await;
    let below = world.submit(with(keyed(), "parent_id", json!(one))).await;
    assert_eq!(why(&world, &below).await["deadlocked"], false);
    world.submit(with(keyed(), "parent_id", json!(two))).await;
    let reported = why(&world, &below).await;
    assert_eq!(reported["deadlocked"], true);
    assert!(reported["reason"].as_str().unwrap().contains("raise the limit"), "{reported}");
}

#[tokio::test(start_paused = true)]
async fn waiter_is_moved_by_number_or_before_all_others() {
    let world = one_slot().await;
    let (holder, first) = two(&world).await;
    let (second, third) = (world.submit(keyed()).await, world.submit(keyed()).await);
    let moved = move_to(&world, &third, json!({ "priority": 7 })).await;
    assert_eq!((&moved["changed"], &moved["process"]["priority"]), (&json!(true), &json!(7)));
    assert_eq!(waiters(&world).await, json!([third, first, second]));
    let moved = move_to(&world, &second, json!({ "first": true })).await;
    assert_eq!(moved["process"]["priority"], 8);
    assert_eq!(waiters(&world).await, json!([second, third, first]));
    let again = move_to(&world, &second, json!({ "first": true })).await;
    assert_eq!((&again["changed"], &again["note"]), (&json!(false), &json!("no_change")));
    let path = format!("/v1/processes/{holder}/priority");
    let problem = world.post(&path, json!({ "priority": 1 })).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "invalid_status_transition"));
    assert_eq!(problem.attempted.as_deref(), Some("prioritize"));
    for nonsense in [json!({}), json!({ "priority": 1, "first": true }), json!({ "priority": 101 })] {
        let problem = world.post(&path, nonsense).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
    }
}

#[tokio::test(start_paused = true)]
async fn change_of_a_queue_that_makes_no_sense_changes_nothing() {
    let world = one_slot().await;
    let long = "k".repeat(300);
    for (key, body) in [
        ("opus", json!({})),
        ("opus", json!({ "slots": -1 })),
        ("opus", json!({ "slots": 1.5 })),
        ("opus", json!({ "slots": "many" })),
        ("opus", json!({ "slots": 4_294_967_296_u64 })),
        ("opus", json!({ "slot": 3 })),
        ("opus", json!({ "slots": 3, "by": "ada" })),
        ("opus", json!({ "slots": 3, "held": true, "by": "a\u{1b}[31m" })),
        ("o*", json!({ "slots": 3, "held": true })),
        ("a*b", json!({ "slots": 3 })),
        (long.as_str(), json!({ "slots": 3 })),
        ("a%1bb", json!({ "slots": 3 })),
        ("%ff", json!({ "slots": 3 })),
    ] {
        let problem = world.patch(&format!("/v1/queues/{key}"), body.clone()).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{key} {body}");
        assert!(problem.detail.is_some(), "{key} {body}");
    }
    assert_eq!(world.get("/v1/queues").await.json()["slots"], json!({ "opus": 1 }));
}

async fn one_slot() -> World {
    let policy = Policy { slots: [("opus".to_owned(), 1)].into(), ..Policy::default() };
    World::with(|settings| settings.policy = Some(policy)).await
}

fn keyed() -> Value {
    with(command("run"), "key", json!("opus"))
}

/// Launches a process that holds the only slot, and a second process that is waiting for this slot.
async fn two(world: &World) -> (String, String) {
    (world.submit(keyed()).await, world.submit(keyed()).await)
}

async fn why(world: &World, id: &str) -> Value {
    let answer = world.get(&format!("/v1/processes/{id}/why")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn move_to(world: &World, id: &str, place: Value) -> Value {
    let answer = world.post(&format!("/v1/processes/{id}/priority"), place).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn waiters(world: &World) -> Value {
    world.get("/v1/queues/opus").await.json()["queues"][0]["waiters"].clone()
}
