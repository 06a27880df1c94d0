use crate::world::{World, millis};
use longhaul_testkit::fakes::{Fault, PortCall};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn cancel_ends_a_command_and_a_second_one_says_that_it_has_ended() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let path = format!("/v1/processes/{id}/cancel");
    let outcome = world.post(&path, json!({})).await;
    assert_eq!(outcome.status, 200);
    assert_eq!(outcome.json()["changed"], true);
    assert_eq!(outcome.json()["process"]["status"], "stopping");
    world.pass(millis(10)).await;
    let ended = world.show(&id).await;
    assert_eq!(ended["status"], "cancelled");
    assert_eq!(ended["reason"], "cancelled by request, killed by signal 15 (TERM)");
    assert_eq!(ended["exit"]["stopped_by"], "user");
    let again = world.post(&path, json!({})).await.json();
    assert_eq!((&again["changed"], &again["note"]), (&json!(false), &json!("already_ended")));
}

#[tokio::test(start_paused = true)]
async fn stubborn_command_is_killed_by_force() {
    let world = World::new().await;
    let id = world.launch("stubborn").await;
    world.pass(millis(1)).await;
    world.post(&format!("/v1/processes/{id}/cancel"), json!({"force": true})).await;
    world.pass(millis(10)).await;
    let ended = world.show(&id).await;
    assert_eq!((&ended["status"], &ended["exit"]["signal"]), (&json!("cancelled"), &json!(9)));
}

#[tokio::test(start_paused = true)]
async fn pause_and_resume_are_refused_where_they_make_no_sense() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let ask = async |verb: &str| world.post(&format!("/v1/processes/{id}/{verb}"), json!({})).await;
    assert_eq!(ask("pause").await.json()["process"]["status"], "paused");
    assert_eq!(ask("resume").await.json()["process"]["status"], "running");
    ask("cancel").await;
    world.pass(millis(10)).await;
    let problem = ask("pause").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "invalid_status_transition"));
    assert_eq!(problem.current_status.as_deref(), Some("cancelled"));
    assert_eq!(problem.attempted.as_deref(), Some("pause"));
    assert!(problem.help.unwrap().contains("longhaul restart"));
}

#[tokio::test(start_paused = true)]
async fn signal_is_sent_once_and_changes_no_status() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    let path = format!("/v1/processes/{id}/signal");
    let sent = world.post(&path, json!({ "signal": "SIGUSR1", "tree": true })).await.json();
    assert_eq!((&sent["changed"], &sent["process"]["status"]), (&json!(true), &json!("running")));
    for (signal, help) in [
        (json!("KILL"), "longhaul cancel --force"),
        (json!("19"), "longhaul pause"),
        (json!("SIGCONT"), "longhaul resume"),
        (json!("USER1"), "USR1"),
    ] {
        let problem = world.post(&path, json!({ "signal": signal })).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{signal}");
        assert!(problem.help.as_deref().is_some_and(|reported| reported.contains(help)), "{problem:?}");
    }
    world.post(&format!("/v1/processes/{id}/cancel"), json!({})).await;
    world.pass(millis(10)).await;
    let problem = world.post(&path, json!({ "signal": "USR1" })).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "invalid_status_transition"));
    assert_eq!(problem.attempted.as_deref(), Some("signal"));
}

#[tokio::test(start_paused = true)]
async fn restart_makes_a_new_process_linked_to_the_old_one() {
    let world = World::new().await;
    let id = world.launch("exit 3 50").await;
    let path = format!("/v1/processes/{id}/restart");
    let problem = world.post(&path, json!({})).await.problem();
    assert_eq!((problem.status, problem.attempted.as_deref()), (409, Some("restart")));
    world.pass(millis(100)).await;
    let answer = world.post(&path, json!({})).await;
    assert_eq!(answer.status, 201);
    let fresh = answer.json();
    assert_eq!(fresh["process"]["restarted_from"], id.as_str());
    assert_ne!(fresh["process"]["id"], id.as_str());
}

#[tokio::test(start_paused = true)]
async fn unknown_and_ambiguous_references_are_distinguished() {
    let world = World::new().await;
    let problem = world.get("/v1/processes/unknown").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (404, "process_not_found"));
    let twin = crate::world::with(crate::world::command("run"), "name", json!("twin"));
    world.post("/v1/processes", twin.clone()).await;
    world.post("/v1/processes", twin).await;
    let problem = world.get("/v1/processes/twin").await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (409, "ambiguous_id"));
    assert_eq!(problem.candidates.len(), 2);
    assert_eq!(world.get("/v1/processes/%40last").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn client_that_hangs_up_leaves_nothing_half_done() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    world.store.fail_on(PortCall::Commit, 1, Fault::Late(millis(1_000)));
    {
        let path = format!("/v1/processes/{id}/cancel");
        let asked = world.post(&path, json!({}));
        assert!(tokio::time::timeout(millis(20), asked).await.is_err(), "the reply came at once");
    }
    world.pass(millis(2_000)).await;
    assert_eq!(world.show(&id).await["status"], "cancelled");
}

#[tokio::test(start_paused = true)]
async fn store_that_is_down_is_said_to_be_and_comes_back() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(1)).await;
    world.store.set_down(true);
    let problem = world.get(&format!("/v1/processes/{id}")).await.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (503, "store_unavailable"));
    world.store.set_down(false);
    assert_eq!(world.show(&id).await["status"], "running");
}
