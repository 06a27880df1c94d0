use crate::world::{World, child, command, millis, with};
use longhaul_domain::{Level, TreeLimits};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn cancel_reaches_all_descendants_or_only_the_process() {
    let world = World::new().await;
    let [top, middle, leaf] = line(&world).await;
    let outcome =
        world.post(&format!("/v1/processes/{middle}/cancel"), json!({ "no_descendants": true })).await.json();
    assert_eq!(
        (&outcome["changed"], &outcome["process"]["cancelling_descendants"]),
        (&json!(true), &json!(false))
    );
    world.pass(millis(20)).await;
    assert_eq!(statuses(&world, [&top, &middle, &leaf]).await, ["running", "cancelled", "running"]);
    let outcome = world.post(&format!("/v1/processes/{top}/cancel"), json!({})).await.json();
    assert_eq!(outcome["process"]["cancelling_descendants"], true);
    world.pass(millis(20)).await;
    assert_eq!(statuses(&world, [&top, &middle, &leaf]).await, ["cancelled"; 3]);
    assert_eq!(world.show(&leaf).await["exit"]["stopped_by"], "parent");
    assert_eq!(world.show(&top).await["cancelling_descendants"], false);
    let again = world.post(&format!("/v1/processes/{top}/cancel"), json!({})).await.json();
    assert_eq!((&again["changed"], &again["note"]), (&json!(false), &json!("already_ended")));
}

#[tokio::test(start_paused = true)]
async fn wait_for_the_end_of_a_tree_lasts_as_long_as_its_last_process() {
    let world = World::new().await;
    let top = world.submit(command("run")).await;
    world.submit(child("stubborn", &top)).await;
    world.pass(millis(20)).await;
    let outcome = world.post(&format!("/v1/processes/{top}/cancel"), json!({})).await.json();
    assert_eq!(outcome["process"]["cancelling_descendants"], true);
    world.pass(millis(1_000)).await;
    let wait = async |goal: &str| {
        let reply = world.get(&format!("/v1/wait?id={top}&for={goal}&timeout_ms=0")).await.json();
        (reply["timed_out"].clone(), reply["processes"][0]["cancelling_descendants"].clone())
    };
    assert_eq!(wait("ended").await, (json!(false), json!(true)), "the process itself has ended");
    assert_eq!(wait("tree_ended").await, (json!(true), json!(true)), "the child has not ended");
    world.pass(millis(6_000)).await;
    assert_eq!(wait("tree_ended").await, (json!(false), json!(false)));
}

#[tokio::test(start_paused = true)]
async fn level_of_a_tree_is_ended_and_other_trees_continue() {
    let world = World::new().await;
    let [top, middle, leaf] = line(&world).await;
    let [_, other, _] = line(&world).await;
    let body = json!({ "level": 1, "tree": leaf });
    let reply = world.post("/v1/cancel", body).await.json();
    assert_eq!(reply["outcomes"].as_array().unwrap().len(), 1);
    let first = &reply["outcomes"][0];
    assert_eq!(
        (&first["id"], &first["changed"], &first["problem"]),
        (&json!(middle), &json!(true), &json!(null))
    );
    world.pass(millis(20)).await;
    let now = statuses(&world, [&top, &middle, &leaf, &other]).await;
    assert_eq!(now, ["running", "cancelled", "cancelled", "running"]);
    let reply = world.post("/v1/cancel", json!({ "level": 1, "force": true })).await.json();
    assert_eq!(reply["outcomes"][0]["id"], other.as_str());
    for nonsense in [json!({}), json!({ "tree": top }), json!({ "level": -1 }), json!({ "level": 256 })] {
        assert_eq!(world.post("/v1/cancel", nonsense).await.problem().slug, "invalid_request");
    }
    let unknown = json!({ "level": 1, "tree": "unknown" });
    assert_eq!(world.post("/v1/cancel", unknown).await.problem().slug, "process_not_found");
}

#[tokio::test(start_paused = true)]
async fn pause_pauses_all_descendants_and_names_failures() {
    let world = World::new().await;
    let [top, middle, leaf] = line(&world).await;
    let waits = world.submit(with(child("run", &top), "delay_ms", json!(60_000))).await;
    let reply = world.post(&format!("/v1/processes/{top}/pause"), json!({})).await;
    assert_eq!(reply.status, 200);
    let reply = reply.json();
    assert_eq!((&reply["changed"], &reply["process"]["status"]), (&json!(true), &json!("paused")));
    let below = reply["descendants"].as_array().unwrap().clone();
    assert_eq!(below.len(), 3);
    let of = |id: &str| below.iter().find(|outcome| outcome["id"] == id).unwrap().clone();
    for id in [&middle, &leaf] {
        assert_eq!((&of(id)["changed"], &of(id)["process"]["status"]), (&json!(true), &json!("paused")));
    }
    assert_eq!((&of(&waits)["changed"], &of(&waits)["process"]), (&json!(false), &json!(null)));
    assert_eq!(of(&waits)["problem"]["type"], "invalid_status_transition");
    world.post(&format!("/v1/processes/{top}/resume"), json!({ "no_descendants": true })).await;
    assert_eq!(statuses(&world, [&top, &middle, &leaf]).await, ["running", "paused", "paused"]);
    world.post(&format!("/v1/processes/{top}/resume"), json!({})).await;
    assert_eq!(statuses(&world, [&top, &middle, &leaf]).await, ["running"; 3]);
    world.post(&format!("/v1/processes/{top}/pause"), json!({ "no_descendants": true })).await;
    assert_eq!(statuses(&world, [&top, &middle]).await, ["paused", "running"]);
}

#[tokio::test(start_paused = true)]
async fn pause_that_the_process_refuses_leaves_its_descendants_as_they_are() {
    let world = World::new().await;
    let top = world.launch("exit 0 50").await;
    let below = world.submit(child("run", &top)).await;
    world.pass(millis(100)).await;
    let refused = world.post(&format!("/v1/processes/{top}/pause"), json!({})).await.problem();
    assert_eq!((refused.status, refused.slug.as_str()), (409, "invalid_status_transition"));
    assert_eq!(world.show(&below).await["status"], "running");
}

#[tokio::test(start_paused = true)]
async fn tree_lists_a_process_with_all_below_it_oldest_first() {
    let world = World::new().await;
    let [top, middle, leaf] = line(&world).await;
    let tree = async |id: &str| ids(&world.get(&format!("/v1/processes/{id}/tree")).await.json());
    assert_eq!(tree(&top).await, [top.as_str(), &middle, &leaf]);
    assert_eq!(tree(&middle).await, [middle.as_str(), &leaf]);
}

#[tokio::test(start_paused = true)]
async fn list_is_narrowed_by_tree_level_parent_and_agent() {
    let world = World::new().await;
    let [top, middle, leaf] = line(&world).await;
    let agent = world.submit(with(command("exit 0"), "agent_id", json!("a-1"))).await;
    world.pass(millis(20)).await;
    let list = async |query: &str| ids(&world.get(&format!("/v1/processes?{query}")).await.json());
    assert_eq!(list(&format!("tree={middle}")).await, [leaf.as_str(), &middle, &top]);
    assert_eq!(list(&format!("tree={top}&level=1")).await, [middle.as_str()]);
    assert_eq!(list("level=2").await, [leaf.as_str()]);
    assert_eq!(list(&format!("parent={top}")).await, [middle.as_str()]);
    assert_eq!(list("agent_id=a-1&all=true").await, [agent.as_str()]);
    assert_eq!(list("live=false").await, [agent.as_str()]);
    assert!(list("agent_id=a-1&live=true").await.is_empty());
    for nonsense in ["level=-1", "level=x", "live=perhaps", "usage=perhaps", "live=true&status=failed"] {
        let problem = world.get(&format!("/v1/processes?{nonsense}")).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{nonsense}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_tree_hold_every_member_once() {
    let world = World::new().await;
    let top = world.launch("run").await;
    let mut all = vec![top.clone()];
    for _ in 0..3 {
        all.insert(0, world.submit(child("run", &top)).await);
    }
    for limit in 1..=5 {
        let (mut found, mut cursor) = (Vec::new(), None);
        for _ in 0..10 {
            let from = cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let page = world.get(&format!("/v1/processes?tree={top}&limit={limit}{from}")).await.json();
            let ids = ids(&page);
            assert!(ids.len() <= limit, "{page}");
            found.extend(ids);
            cursor = page["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "{limit} on a page");
    }
    let past_the_end = world.get(&format!("/v1/processes?tree={top}&cursor=0")).await.json();
    assert!(ids(&past_the_end).is_empty());
}

#[tokio::test(start_paused = true)]
async fn full_level_and_too_deep_a_tree_name_level_used_and_max() {
    let tree = TreeLimits { max_level: Level(1), per_level: 2 };
    let world = World::with(|settings| settings.tree = tree).await;
    let top = world.launch("run").await;
    let first = world.submit(child("run", &top)).await;
    world.submit(child("run", &top)).await;
    let problem = world.post("/v1/processes", child("run", &top)).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "level_limit_reached"));
    assert_eq!((problem.level, problem.used, problem.max), (Some(1), Some(2), Some(2)));
    assert!(problem.detail.is_some() && problem.help.is_some());
    let problem = world.post("/v1/processes", child("run", &first)).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "too_deep"));
    assert_eq!((problem.level, problem.used, problem.max), (Some(2), None, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn parent_that_is_unknown_or_ending_takes_no_child() {
    let world = World::new().await;
    let problem = world.post("/v1/processes", child("run", "unknown")).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (404, "process_not_found"));
    assert_eq!(problem.detail.as_deref(), Some("the launch names this process as its parent"));
    let ended = world.launch("exit 0").await;
    world.pass(millis(10)).await;
    let problem = world.post("/v1/processes", child("run", &ended)).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "ancestor_stopping"));
    assert_eq!(problem.candidates, [ended]);
    let stubborn = world.launch("stubborn").await;
    world.pass(millis(1)).await;
    world.post(&format!("/v1/processes/{stubborn}/cancel"), json!({})).await;
    let problem = world.post("/v1/processes", child("run", &stubborn)).await.problem();
    assert_eq!(problem.slug, "ancestor_stopping");
}

#[tokio::test(start_paused = true)]
async fn parent_that_waits_for_its_children_says_so_and_ends_as_it_did() {
    let world = World::new().await;
    let top = world.submit(with(command("exit 3 100"), "children", json!("wait"))).await;
    let below = world.submit(child("run", &top)).await;
    world.pass(millis(200)).await;
    let lingers = world.show(&top).await;
    assert_eq!((&lingers["status"], &lingers["children"]), (&json!("running"), &json!("wait")));
    assert_eq!(lingers["conditions"], json!(["waits_for_children"]));
    assert_eq!(
        lingers["reason"],
        "its own work has ended (exited with code 3); the process waits for its children"
    );
    world.post(&format!("/v1/processes/{below}/cancel"), json!({})).await;
    world.pass(millis(50)).await;
    let ended = world.show(&top).await;
    assert_eq!((&ended["status"], &ended["exit_code"]), (&json!("failed"), &json!(3)));
    assert_eq!(ended["conditions"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn usage_is_reported_only_for_running_processes() {
    let world = World::new().await;
    let runs = world.launch("run").await;
    let over = world.launch("exit 0").await;
    world.pass(millis(1_500)).await;
    let used = json!({
        "processes": 1,
        "cpu_ms": 0,
        "memory_bytes": 0,
        "read_bytes": null,
        "written_bytes": null,
        "limited_by": "rlimit",
    });
    assert_eq!(
        world.get(&format!("/v1/processes/{runs}/usage")).await.json(),
        json!({
            "id": runs,
            "status": "running",
            "uptime_ms": 1_500,
            "usage": used,
            "at": "2023-11-14T22:13:21.500Z",
        })
    );
    let ended = world.get(&format!("/v1/processes/{over}/usage")).await.json();
    assert_eq!((&ended["status"], &ended["usage"]), (&json!("completed"), &json!(null)));
    let list = world.get("/v1/processes?all=true&usage=true").await.json();
    let of = |id: &str| {
        let all = list["processes"].as_array().unwrap();
        all.iter().find(|process| process["id"] == id).unwrap()["usage"].clone()
    };
    assert_eq!((of(&runs), of(&over)), (used.clone(), json!(null)));
    assert_eq!(world.show(&runs).await["usage"], json!(null));
    assert_eq!(world.get(&format!("/v1/processes/{runs}?usage=true")).await.json()["usage"], used);
}

#[tokio::test(start_paused = true)]
async fn limits_are_shown_as_they_were_asked_for() {
    let world = World::new().await;
    let mut launch = command("run");
    launch["command"]["limits"] = json!({ "memory_bytes": 1_048_576, "open_files": 64 });
    let id = world.submit(launch).await;
    assert_eq!(
        world.show(&id).await["limits"],
        json!({
            "cpu_seconds": null,
            "memory_bytes": 1_048_576,
            "open_files": 64,
            "processes": null,
            "file_bytes": null,
        })
    );
    let reported = world.submit(json!({ "reported": {} })).await;
    assert_eq!(world.show(&reported).await["limits"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn statistics_count_by_level_and_in_total() {
    let world = World::new().await;
    let [top, _, _] = line(&world).await;
    world.submit(child("exit 1 100", &top)).await;
    world.launch("run").await;
    world.pass(millis(200)).await;
    let level = |level: Value, live: u64, failed: u64| {
        let mut by_status = json!({ "running": live });
        if failed > 0 {
            by_status["failed"] = json!(failed);
        }
        let took = if failed > 0 { json!(100) } else { json!(null) };
        json!({
            "level": level,
            "live": live,
            "by_status": by_status,
            "failures": failed,
            "restarts": 0,
            "mean_ms": took,
            "p95_ms": took,
            "usage": { "processes": live, "cpu_ms": 0, "memory_bytes": 0, "read_bytes": null, "written_bytes": null },
            "uptime_ms": 200,
        })
    };
    assert_eq!(
        world.get(&format!("/v1/stats?tree={top}")).await.json(),
        json!({
            "levels": [level(json!(0), 1, 0), level(json!(1), 1, 1), level(json!(2), 1, 0)],
            "total": level(json!(null), 3, 1),
            "late_detections": 0,
            "unrecorded_exits": 0,
            "at": "2023-11-14T22:13:20.200Z",
        })
    );
    assert_eq!(world.get("/v1/stats").await.json()["total"]["live"], 4);
    assert_eq!(world.get("/v1/stats?session=none").await.json()["total"]["live"], 0);
    assert_eq!(world.get("/v1/stats?sesion=none").await.problem().slug, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn cancel_by_a_reporter_reaches_its_descendants() {
    let world = World::new().await;
    let top = world.submit(json!({ "reported": { "grace_ms": 100 } })).await;
    let below = world.submit(child("run", &top)).await;
    world.pass(millis(10)).await;
    world.patch(&format!("/v1/processes/{top}"), json!({ "status": "cancelled", "progress": 40 })).await;
    world.pass(millis(200)).await;
    assert_eq!(world.show(&top).await["status"], "cancelled");
    assert_eq!(world.show(&top).await["progress"], 40.0);
    assert_eq!(world.show(&below).await["status"], "cancelled");
}

/// Launches a chain of three running processes: the second is a child of the first, and the third a child of the
/// second.
async fn line(world: &World) -> [String; 3] {
    let top = world.launch("run").await;
    let middle = world.submit(child("run", &top)).await;
    let leaf = world.submit(child("run", &middle)).await;
    world.pass(millis(0)).await;
    [top, middle, leaf]
}

async fn statuses<const N: usize>(world: &World, all: [&String; N]) -> Vec<String> {
    let mut found = Vec::new();
    for id in all {
        found.push(world.show(id).await["status"].as_str().unwrap().to_owned());
    }
    found
}

fn ids(list: &Value) -> Vec<String> {
    let processes = list["processes"].as_array().unwrap();
    processes.iter().map(|process| process["id"].as_str().unwrap().to_owned()).collect()
}
