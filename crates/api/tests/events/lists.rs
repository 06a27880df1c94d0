//! Tests how many store requests a list needs.

use crate::world::{World, command, with};
use longhaul_wire::api::ListRequest;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_list_of_those_that_wait_for_another_node_asks_as_much_for_many_as_for_one() {
    let world = World::new().await;
    let mut asked = Vec::new();
    for many in [1, 30] {
        for _ in 0..many {
            world.launch(with(command("run"), "node_labels", json!(["gpu"]))).await;
        }
        let before = world.store.calls().len();
        let list = world.api.list(&ListRequest::default()).await.unwrap();
        asked.push(world.store.calls().len() - before);
        assert!(
            list.processes.iter().all(|view| view.reason.as_ref().is_some_and(|why| why.contains("gpu")))
        );
    }
    assert_eq!(asked[0], asked[1]);
}
