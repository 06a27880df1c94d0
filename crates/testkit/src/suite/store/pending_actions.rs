//! Rules about pending actions.

use super::world::{StoreFixture, cancel, spawned};
use crate::suite::{must, refused, soon};
use longhaul_domain::{ActionSeq, PendingAction, StopCause};
use longhaul_ports::{IdSource, StoreError, StoreRejection};

const CANCEL: PendingAction = PendingAction::Cancel { cause: StopCause::User };

/// Pending actions are numbered in the order of their arrival, and the owner finds them in the record.
pub async fn pending_actions_are_numbered(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let id = running.process.id;
    let first = must(world.store.enqueue_action(&id, world.ids.op(), PendingAction::Pause).await);
    let second = must(world.store.enqueue_action(&id, world.ids.op(), CANCEL).await);
    assert!(ActionSeq(0) < first && first < second);
    let found = world.load(id).await;
    assert_eq!(found.pending_actions, [(first, PendingAction::Pause), (second, CANCEL)]);
    assert_eq!(found.revision, running.revision);
}

/// A pending action that is sent twice is enqueued once.
pub async fn a_repeated_pending_action_gets_the_same_number(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let op = world.ids.op();
    let first = must(world.store.enqueue_action(&stored.process.id, op, CANCEL).await);
    assert_eq!(must(world.store.enqueue_action(&stored.process.id, op, CANCEL).await), first);
    assert_eq!(world.load(stored.process.id).await.pending_actions, [(first, CANCEL)]);
}

/// Actions that end the process are accepted as long as fewer than twenty actions are pending.
pub async fn a_full_list_of_pending_actions_accepts_actions_that_end_the_process(world: &StoreFixture) {
    let node = world.node("a").await;
    let id = world.run(world.draft(), &node).await.process.id;
    for _ in 0..16 {
        must(world.store.enqueue_action(&id, world.ids.op(), PendingAction::Resume).await);
    }
    for _ in 0..4 {
        must(world.store.enqueue_action(&id, world.ids.op(), CANCEL).await);
    }
    let force = PendingAction::Force { cause: StopCause::User };
    for late in [PendingAction::Resume, CANCEL, force] {
        refused!(
            world.store.enqueue_action(&id, world.ids.op(), late).await,
            StoreError::Refused(StoreRejection::TooManyPendingActions)
        );
    }
    assert_eq!(world.load(id).await.pending_actions.len(), 20);
}

/// When sixteen actions are pending, an action that does not end the process is refused until a pending action was
/// executed.
pub async fn at_most_sixteen_actions_are_pending(world: &StoreFixture) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let id = starting.process.id;
    let mut first = ActionSeq(0);
    for _ in 0..16 {
        let no = must(world.store.enqueue_action(&id, world.ids.op(), PendingAction::Resume).await);
        if first == ActionSeq(0) {
            first = no;
        }
    }
    refused!(
        world.store.enqueue_action(&id, world.ids.op(), PendingAction::Resume).await,
        StoreError::Refused(StoreRejection::TooManyPendingActions)
    );
    let mut change = world.change(&starting, spawned(&starting));
    change.taken = first;
    must(world.store.commit(change).await);
    must(world.store.enqueue_action(&id, world.ids.op(), PendingAction::Resume).await);
}

/// A commit removes the pending actions that it executes, and no later actions. The numbers of removed actions are not
/// reused.
pub async fn a_commit_removes_the_pending_actions_that_it_executes(world: &StoreFixture) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let id = starting.process.id;
    let first = must(world.store.enqueue_action(&id, world.ids.op(), CANCEL).await);
    let second = must(world.store.enqueue_action(&id, world.ids.op(), PendingAction::Pause).await);
    let mut change = world.change(&starting, cancel());
    change.taken = first;
    must(world.store.commit(change).await);
    let stopping = world.load(id).await;
    assert_eq!(stopping.pending_actions, [(second, PendingAction::Pause)]);
    let mut change = world.change(&stopping, spawned(&stopping));
    change.taken = second;
    must(world.store.commit(change).await);
    assert_eq!(world.load(id).await.pending_actions, []);
    let third = must(world.store.enqueue_action(&id, world.ids.op(), CANCEL).await);
    assert!(third > second);
}

/// A pending action for an unknown process returns the error `Missing`.
pub async fn a_pending_action_for_an_unknown_process_is_refused(world: &StoreFixture) {
    let missing = world.draft().id;
    refused!(
        world.store.enqueue_action(&missing, world.ids.op(), CANCEL).await,
        StoreError::Missing { id } if *id == missing
    );
}

/// A pending action notifies the owner of the process. The notification names the process.
pub async fn a_pending_action_notifies_the_owner(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    world.hear_out(&node).await;
    let wait_for_updates = {
        let store = world.store.clone();
        let node = node.clone();
        tokio::spawn(async move { store.wait_for_updates(&node).await })
    };
    let wait_for_updates = crate::suite::parked(wait_for_updates).await;
    must(world.store.enqueue_action(&running.process.id, world.ids.op(), CANCEL).await);
    let calls = must(must(soon(wait_for_updates).await));
    assert_eq!(calls.pending_actions, [running.process.id]);
    assert_eq!(must(world.store.renew_lease(&node).await).pending_actions, [running.process.id]);
}
