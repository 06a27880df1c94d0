use crate::world::World;
use axum::body::Body;
use longhaul_domain::NodeId;
use longhaul_engine::ports::{Membership, NodeDescriptor};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn nodes_are_listed_with_labels_capacity_and_presence() {
    let world = two().await;
    let listing = world.get("/v1/nodes").await.json();
    let nodes = listing["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{listing}");
    assert_eq!(
        nodes[0],
        json!({
            "id": "here",
            "own": true,
            "presence": "here",
            "draining": false,
            "labels": [],
            "address": null,
            "roots": null,
            "version": "0",
            "lease_until": null,
            "lost_at": null,
        })
    );
    assert_eq!((&nodes[1]["id"], &nodes[1]["own"]), (&json!("there/2"), &json!(false)));
    assert!(listing["at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test(start_paused = true)]
async fn node_drains_until_the_drain_is_ended() {
    let world = two().await;
    let drained = world.post("/v1/nodes/there%2F2/drain", json!({})).await;
    assert_eq!((drained.status.as_u16(), &drained.json()["draining"]), (200, &json!(true)));
    assert_eq!(world.get("/v1/nodes").await.json()["nodes"][1]["draining"], true);
    let undrained = world.post("/v1/nodes/there%2F2/undrain", json!({})).await;
    assert_eq!((undrained.status.as_u16(), &undrained.json()["draining"]), (200, &json!(false)));
    let unknown = world.post("/v1/nodes/unknown/drain", json!({})).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["type"]), (404, &json!("node_not_found")));
}

#[tokio::test(start_paused = true)]
async fn node_that_is_there_is_not_forgotten() {
    let world = two().await;
    for (path, status, slug) in
        [("/v1/nodes/here", 409, "node_alive"), ("/v1/nodes/unknown", 404, "node_not_found")]
    {
        let refused = world.ask("DELETE", path, Body::empty()).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["type"]), (status, &json!(slug)), "{path}");
    }
    assert_eq!(world.get("/v1/nodes").await.json()["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn node_that_left_is_forgotten_and_shown_as_it_was() {
    let world = two().await;
    let lease = world.store.register(&facts()).await.unwrap();
    world.store.leave(&lease).await.unwrap();
    let forgotten = world.ask("DELETE", "/v1/nodes/there%2F2", Body::empty()).await;
    assert_eq!((forgotten.status.as_u16(), &forgotten.json()["presence"]), (200, &json!("left")));
    assert_eq!(world.get("/v1/nodes").await.json()["nodes"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn captured_environment_goes_to_no_other_node() {
    let world = two().await;
    let launch = |place: Value, environment: Value| {
        let mut launch = json!({
            "command": {"program": "run", "directory": "/", "environment": environment},
        });
        launch.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        launch
    };
    let captured = || json!({"captured": {"A": "1"}});
    for place in [json!({"node": "there/2"}), json!({"node_labels": ["gpu"]}), json!({"any_node": true})] {
        let refused = world.post("/v1/processes", launch(place.clone(), captured())).await;
        assert_eq!(refused.status, 400, "{place}");
        assert_eq!(refused.json()["type"], "environment_not_portable", "{place}");
        assert!(refused.json()["help"].as_str().unwrap().contains("--clear-env"));
        let declared =
            world.post("/v1/processes", launch(place.clone(), json!({"declared": {"A": "1"}}))).await;
        assert_eq!(declared.status, 201, "{place}: {declared:?}");
    }
    let own = world.post("/v1/processes", launch(json!({"node": "here"}), captured())).await;
    assert_eq!(own.status, 201, "{own:?}");
    let twice = launch(json!({"node": "here", "any_node": true}), json!({}));
    assert_eq!(world.post("/v1/processes", twice).await.status, 400);
}

async fn two() -> World {
    let world = World::new().await;
    world.store.register(&facts()).await.unwrap();
    world
}

fn facts() -> NodeDescriptor {
    NodeDescriptor {
        id: NodeId::new("there/2").unwrap(),
        home: None,
        boot: "b".to_owned(),
        version: "1".to_owned(),
    }
}
