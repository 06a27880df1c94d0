//! Rules about nodes, their leases, and their notifications.

use super::world::{StoreFixture, exited, ids, node_id, room};
use crate::suite::{kept, must, parked, refused, soon};
use longhaul_ports::{Lease, NodeDescriptor, NodeUpdates, StoreError};
use std::time::Duration;
use tokio::task::JoinHandle;

type Call = JoinHandle<Result<NodeUpdates, StoreError>>;

/// Receives all earlier updates, and then starts a call that waits for the next update.
async fn waiting(world: &StoreFixture, lease: &Lease) -> Call {
    world.hear_out(lease).await;
    let store = world.store.clone();
    let lease = lease.clone();
    parked(tokio::spawn(async move { store.wait_for_updates(&lease).await })).await
}

async fn answered(call: Call) -> NodeUpdates {
    must(must(soon(call).await))
}

/// Each registration of a node invalidates the lease of the previous registration.
pub async fn each_registration_increases_the_epoch(world: &StoreFixture) {
    let first = world.node("a").await;
    let other = world.node("b").await;
    let second = world.node("a").await;
    assert!(first.epoch < second.epoch);
    refused!(
        world.store.renew_lease(&first).await,
        StoreError::Fenced { node, epoch } if *node == first.node && *epoch == first.epoch
    );
    refused!(world.store.wait_for_updates(&first).await, StoreError::Fenced { .. });
    must(world.store.renew_lease(&second).await);
    must(world.store.renew_lease(&other).await);
}

/// After a new registration, a node owns all processes that it owned before.
pub async fn a_new_registration_keeps_the_processes_of_the_node(world: &StoreFixture) {
    let first = world.node("a").await;
    let other = world.node("b").await;
    let ours = world.run(world.draft(), &first).await;
    let theirs = world.run(world.draft(), &other).await;
    let second = world.node("a").await;
    let found = world.load(ours.process.id).await;
    assert_eq!(found.owner, Some(second));
    assert_eq!(found.revision, ours.revision);
    assert_eq!(world.load(theirs.process.id).await.owner, Some(other));
}

/// Every registered node is listed with the facts of its last registration, until it leaves.
pub async fn nodes_are_listed_until_they_leave(world: &StoreFixture) {
    world.node("a").await;
    let newer = NodeDescriptor {
        id: node_id("a"),
        home: None,
        boot: "another boot".to_owned(),
        version: "9.9.9".to_owned(),
    };
    let lease = must(world.store.register(&newer).await);
    let other = world.node("b").await;
    let mut nodes = must(world.store.nodes().await);
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(nodes.first(), Some(&newer));
    assert_eq!(nodes.len(), 2);
    must(world.store.leave(&lease).await);
    let left: Vec<_> = must(world.store.nodes().await).into_iter().map(|facts| facts.id).collect();
    assert_eq!(left, [other.node]);
    world.node("a").await;
    assert_eq!(must(world.store.nodes().await).len(), 2);
}

/// The processes of a node that leaves remain assigned to it until it registers again.
pub async fn a_node_that_leaves_keeps_its_processes(world: &StoreFixture) {
    let lease = world.node("a").await;
    let running = world.run(world.draft(), &lease).await;
    must(world.store.leave(&lease).await);
    let found = world.load(running.process.id).await;
    assert_eq!(found.process, running.process);
    assert_eq!(found.owner.map(|owner| owner.node), Some(lease.node));
    let next = world.node("a").await;
    assert_eq!(world.load(running.process.id).await.owner, Some(next));
}

/// A late `leave` call under an old lease does not affect the newer registration of the node.
pub async fn a_leave_under_an_old_lease_does_not_affect_the_newer_registration(world: &StoreFixture) {
    let old = world.node("a").await;
    let new = world.node("a").await;
    must(world.store.leave(&old).await);
    let listed: Vec<_> = must(world.store.nodes().await).into_iter().map(|facts| facts.id).collect();
    assert_eq!(listed, std::slice::from_ref(&new.node), "the newer life did not leave");
    must(world.store.renew_lease(&new).await);
}

/// A node that leaves keeps its lease until it registers again, so that it can finish its last writes.
pub async fn a_node_that_leaves_keeps_its_lease(world: &StoreFixture) {
    let lease = world.node("a").await;
    let running = world.run(world.draft(), &lease).await;
    let waiter = world.submit(world.draft()).await;
    must(world.store.leave(&lease).await);
    let promise = "leaving ends no lease, the next registration does";
    kept(promise, world.store.renew_lease(&lease).await);
    kept(promise, world.turn(&running, exited(&running, world.now(), 0)).await);
    let claimed = kept(promise, world.store.claim(&lease, &room(&lease)).await);
    assert_eq!(ids(&claimed), [waiter.process.id]);
    assert_eq!(must(world.store.nodes().await), [], "none of that joins it again");
    must(world.store.leave(&lease).await);
    let next = world.node("a").await;
    refused!(world.store.renew_lease(&lease).await, StoreError::Fenced { .. });
    must(world.store.renew_lease(&next).await);
}

/// After a registration, the first wait for updates returns immediately if there is already work for the node: a
/// waiting process, a process with a due time, or a pending action for a process that the node owns.
pub async fn a_registered_node_is_notified_of_existing_work(world: &StoreFixture) {
    let old = world.node("a").await;
    let running = world.run(world.draft(), &old).await;
    let op = longhaul_ports::IdSource::op(&world.ids);
    must(world.store.enqueue_action(&running.process.id, op, longhaul_domain::PendingAction::Pause).await);
    world.hear_out(&old).await;
    let again = world.node("a").await;
    let calls = must(called_at_once(world, &again).await);
    assert_eq!(calls.pending_actions, [running.process.id]);
    world.submit(world.draft()).await;
    for name in ["a", "b"] {
        let lease = world.node(name).await;
        world.hear_out(&lease).await;
        let lease = world.node(name).await;
        must(called_at_once(world, &lease).await);
    }
}

async fn called_at_once(world: &StoreFixture, lease: &Lease) -> Result<NodeUpdates, StoreError> {
    let wait_for_updates =
        tokio::time::timeout(Duration::from_secs(2), world.store.wait_for_updates(lease)).await;
    kept("the first call of a lease comes at once if there is something for the node", wait_for_updates)
}

/// A lease renewal returns the current time, the policy version and the next due time.
pub async fn a_renewal_returns_time_policy_version_and_due_time(world: &StoreFixture) {
    let node = world.node("a").await;
    let calls = must(world.store.renew_lease(&node).await);
    assert_eq!(calls.now, world.now());
    assert_eq!(calls.policy, must(world.store.policy().await).0);
    assert_eq!((calls.due, calls.pending_actions), (None, Vec::new()));
    let later = world.now().plus(Duration::from_secs(9));
    let soon = world.now().plus(Duration::from_secs(5));
    world.submit(world.draft().not_before(later)).await;
    world.submit(world.draft().not_before(soon)).await;
    assert_eq!(must(world.store.renew_lease(&node).await).due, Some(soon));
}

/// A new waiting process notifies a node that may run it.
pub async fn a_new_waiting_process_notifies_a_node(world: &StoreFixture) {
    let node = world.node("a").await;
    let call = waiting(world, &node).await;
    world.submit(world.draft().key("k")).await;
    answered(call).await;
    let call = waiting(world, &node).await;
    world.submit(world.draft().placed(longhaul_domain::Placement::Node(node.node.clone()))).await;
    answered(call).await;
}

/// A freed slot notifies the nodes.
pub async fn a_freed_slot_notifies_the_nodes(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k".to_owned(), 1);
    must(world.store.set_policy(version, &policy).await);
    let running = world.run(world.draft().key("k"), &other).await;
    world.submit(world.draft().key("k")).await;
    let call = waiting(world, &node).await;
    world.exit(&running, 0).await;
    answered(call).await;
    assert_eq!(world.claim(&node).await.len(), 1);
}

/// A change of the policy notifies the nodes. The notification contains the new version.
pub async fn a_changed_policy_notifies_the_nodes(world: &StoreFixture) {
    let node = world.node("a").await;
    let call = waiting(world, &node).await;
    let (version, policy) = must(world.store.policy().await);
    let newer = must(world.store.set_policy(version, &policy).await);
    assert_eq!(answered(call).await.policy, newer);
}

/// If a new due time is earlier than all others, the nodes are notified, so that they can set a timer.
pub async fn an_earlier_due_time_notifies_the_nodes(world: &StoreFixture) {
    let node = world.node("a").await;
    let in_seconds = |seconds| world.now().plus(Duration::from_secs(seconds));
    let call = waiting(world, &node).await;
    world.submit(world.draft().not_before(in_seconds(60))).await;
    assert_eq!(answered(call).await.due, Some(in_seconds(60)));
    let call = waiting(world, &node).await;
    world.submit(world.draft().not_before(in_seconds(30))).await;
    assert_eq!(answered(call).await.due, Some(in_seconds(30)));
}

/// A notification that was received is not repeated: the next wait lasts until there is a new notification.
pub async fn a_received_notification_is_not_repeated(world: &StoreFixture) {
    let node = world.node("a").await;
    world.submit(world.draft().key("k")).await;
    world.hear_out(&node).await;
    let store = world.store.clone();
    let lease = node.clone();
    let call = parked(tokio::spawn(async move { store.wait_for_updates(&lease).await })).await;
    call.abort();
}

/// A change between two waits is not lost, even if the lease is renewed in between.
pub async fn a_change_between_two_waits_is_not_lost(world: &StoreFixture) {
    let node = world.node("a").await;
    world.hear_out(&node).await;
    world.submit(world.draft().key("k")).await;
    must(world.store.renew_lease(&node).await);
    let wait_for_updates =
        tokio::time::timeout(Duration::from_secs(2), world.store.wait_for_updates(&node)).await;
    must(must(wait_for_updates));
}

/// A notification reaches every node, not only the first node.
pub async fn a_notification_reaches_every_node(world: &StoreFixture) {
    let first = world.node("a").await;
    let second = world.node("b").await;
    let one = waiting(world, &first).await;
    let two = waiting(world, &second).await;
    world.submit(world.draft()).await;
    answered(one).await;
    answered(two).await;
}

/// A wait for updates ends with an error if the node registers again in the meantime.
pub async fn a_wait_fails_if_the_node_registers_again(world: &StoreFixture) {
    let old = world.node("a").await;
    let call = waiting(world, &old).await;
    let new = world.node("a").await;
    refused!(must(soon(call).await), StoreError::Fenced { .. });
    must(world.store.claim(&new, &room(&new)).await);
}
