//! Tests of pending actions whose node is lost.

use crate::world::{World, command, reported, seconds};
use longhaul_domain::{PendingAction, Policy, ProcessId, SlotKey, Spec, Status, StopCause};
use longhaul_engine::ports::{IdSource, ProcessStore};
use std::collections::BTreeMap;

#[tokio::test(start_paused = true)]
async fn an_action_for_a_process_without_owner_is_executed_by_any_engine() {
    let mut world = World::new().await;
    for crash in [false, true] {
        let id = world.launch_spec(reported(|_| {})).await;
        world.settle().await;
        if crash {
            world.engine.abandon();
        }
        leave(&world, id, PendingAction::Cancel { cause: StopCause::User }).await;
        world.settle().await;
        if crash {
            assert_eq!(world.status(id).await, Status::Running, "no owner can execute it");
            world.crash().await;
        }
        world.pass(seconds(1)).await;
        let stored = world.stored(id).await;
        assert_eq!(stored.process.status(), Status::Stopping, "after a crash: {crash}");
        assert_eq!(stored.pending_actions, []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_for_an_ended_process_is_removed_and_changes_nothing() {
    let world = World::new().await;
    let id = world.launch("exit 3").await;
    assert_eq!(world.end(id).await, Status::Failed);
    leave(&world, id, PendingAction::Pause).await;
    world.pass(seconds(1)).await;
    let stored = world.stored(id).await;
    assert_eq!((stored.process.status(), stored.pending_actions), (Status::Failed, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_pending_action_is_executed_before_the_start() {
    let mut world = World::with(|settings| {
        let slots = BTreeMap::from([("k".to_owned(), 1)]);
        settings.policy = Some(Policy { slots, ..Policy::default() });
    })
    .await;
    let keyed = |words| Spec { key: SlotKey::new("k").ok(), ..command(words) };
    world.launch_spec(keyed("exit 0 1000")).await;
    let [cancelled, goes_on] = [world.launch_spec(keyed("run")).await, world.launch_spec(keyed("run")).await];
    world.settle().await;
    world.engine.abandon();
    leave(&world, cancelled, PendingAction::Cancel { cause: StopCause::User }).await;
    // A waiting process cannot be paused, so it starts nevertheless.
    leave(&world, goes_on, PendingAction::Pause).await;
    world.pass(seconds(2)).await;
    world.crash().await;
    world.pass(seconds(1)).await;
    assert_eq!(world.status(cancelled).await, Status::Cancelled);
    assert_eq!(world.status(goes_on).await, Status::Running);
    assert_eq!((world.spawner.runs(cancelled), world.spawner.runs(goes_on)), (0, 1));
    assert_eq!(world.stored(goes_on).await.pending_actions, []);
}

/// Stores a pending action in the same way as an engine that ends before it checks that the action is executed.
async fn leave(world: &World, id: ProcessId, action: PendingAction) {
    world.store.enqueue_action(&id, world.ids.op(), action).await.unwrap();
}
