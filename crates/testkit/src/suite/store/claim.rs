//! Rules about claims: a node claims exactly the processes that it may run.

use super::world::{StoreFixture, author, cancel, complete, exited, ids, never_ran, node_id, room};
use crate::suite::{must, refused, some};
use longhaul_domain::{Capability, Fact, LiveStats, Placement, State, Status, Work};
use longhaul_ports::{ClaimCapacity, PlacementClass, StoreError, Writer};

/// A claim starts an attempt. The owner, the node, the attempt number and the event are written in one step.
pub async fn a_claim_starts_an_attempt(world: &StoreFixture) {
    let node = world.node("a").await;
    let waiter = world.submit(world.draft()).await;
    let claimed = some(world.claim(&node).await.pop());
    assert_eq!(claimed.owner, Some(node.clone()));
    assert_eq!(claimed.process.node, Some(node.node.clone()));
    assert_eq!(claimed.process.status(), Status::Starting);
    assert_eq!(claimed.process.attempt.0, 1);
    assert_eq!(claimed.seq, waiter.seq);
    assert!(claimed.revision > waiter.revision);
    assert_eq!(world.load(waiter.process.id).await, claimed);
    let log = must(world.store.read(None, 10, false).await);
    let last = some(log.events.last());
    assert_eq!(last.revision, claimed.revision);
    let began = Fact::Claimed { attempt: claimed.process.attempt, node: node.node.clone() };
    assert_eq!(last.event.fact, began);
    assert_eq!(world.claim_ids(&node).await, []);
}

/// An old lease claims nothing, because its node has registered again.
pub async fn an_old_lease_claims_nothing(world: &StoreFixture) {
    let old = world.node("a").await;
    world.node("a").await;
    let waiter = world.submit(world.draft()).await;
    refused!(world.store.claim(&old, &room(&old)).await, StoreError::Fenced { .. });
    assert_eq!(world.load(waiter.process.id).await, waiter);
}

/// A claim returns at most the requested number of processes.
pub async fn a_claim_returns_at_most_the_requested_number(world: &StoreFixture) {
    let node = world.node("a").await;
    for _ in 0..5 {
        world.submit(world.draft()).await;
    }
    let two = ClaimCapacity { batch: 2, ..room(&node) };
    assert_eq!(must(world.store.claim(&node, &two).await).len(), 2);
    assert_eq!(world.claim(&node).await.len(), 3);
}

/// Roots are claimed as long as the node holds fewer roots than its maximum. When a root ends, another root can be
/// claimed.
pub async fn roots_are_claimed_up_to_the_root_limit(world: &StoreFixture) {
    let node = world.node("a").await;
    for _ in 0..3 {
        world.submit(world.draft()).await;
    }
    let two = ClaimCapacity { roots: 2, ..room(&node) };
    let claimed = must(world.store.claim(&node, &two).await);
    assert_eq!(claimed.len(), 2);
    assert_eq!(must(world.store.claim(&node, &two).await), []);
    let first = some(claimed.first());
    must(world.turn(first, exited(first, world.now(), 0)).await);
    assert_eq!(must(world.store.claim(&node, &two).await).len(), 1);
    let other = world.node("b").await;
    world.submit(world.draft()).await;
    let one = ClaimCapacity { roots: 1, ..room(&other) };
    assert_eq!(must(world.store.claim(&other, &one).await).len(), 1);
}

/// Children do not count as roots. If a node cannot hold another root, children are claimed before waiting roots.
pub async fn a_child_overtakes_a_root_without_a_free_root_slot(world: &StoreFixture) {
    let node = world.node("a").await;
    let parent = world.run(world.draft(), &node).await;
    world.submit(world.draft().key("k").priority(50)).await;
    let child = world.submit(world.draft().key("k").child_of(&parent)).await;
    let grown = world.submit(world.draft().child_of(&parent)).await;
    let full = ClaimCapacity { roots: 1, ..room(&node) };
    let claimed = must(world.store.claim(&node, &full).await);
    assert_eq!(ids(&claimed), [child.process.id, grown.process.id]);
    let more = ClaimCapacity { roots: 2, ..full };
    assert_eq!(must(world.store.claim(&node, &more).await).len(), 1);
}

/// A waiting process that is pinned to another node blocks no other process.
pub async fn a_pinned_waiting_process_blocks_no_other_process(world: &StoreFixture) {
    let here = world.node("a").await;
    let there = world.node("b").await;
    let pinned = Placement::Node(there.node.clone());
    let theirs = world.submit(world.draft().key("k").priority(100).placed(pinned)).await;
    let ours = world.submit(world.draft().key("k")).await;
    assert_eq!(world.claim_ids(&here).await, [ours.process.id]);
    assert_eq!(world.claim_ids(&there).await, [theirs.process.id]);
}

/// A claim returns only processes whose placement class the node has listed in its request.
pub async fn a_claim_takes_only_the_requested_placement_classes(world: &StoreFixture) {
    let node = world.node("a").await;
    let labels = Placement::Labels(vec![must(Capability::new("gpu"))]);
    let labelled = world.submit(world.draft().placed(labels.clone())).await;
    let here = world.submit(world.draft().placed(Placement::Here)).await;
    assert_eq!(world.claim_ids(&node).await, []);
    let only = |placement| ClaimCapacity { classes: vec![PlacementClass::Shared(placement)], ..room(&node) };
    let claimed = must(world.store.claim(&node, &only(Placement::Here)).await);
    assert_eq!(ids(&claimed), [here.process.id]);
    let claimed = must(world.store.claim(&node, &only(labels)).await);
    assert_eq!(ids(&claimed), [labelled.process.id]);
}

/// Queued reported work starts when it is claimed. It holds a slot, but has no owner.
pub async fn reported_work_is_never_owned(world: &StoreFixture) {
    let node = world.node("a").await;
    let waiter = world.submit(world.draft().key("k").reported_in_queue()).await;
    assert_eq!(waiter.process.status(), Status::Pending);
    let claimed = some(world.claim(&node).await.pop());
    assert_eq!(claimed.owner, None);
    assert_eq!(claimed.process.state, State::Reported { slot: true });
    let queues = must(world.store.queues(None).await);
    assert_eq!(some(queues.first()).holders, [waiter.process.id]);
    let mut change = world.change(&claimed, cancel());
    change.author = Writer::Owner(node);
    must(world.store.commit(change).await);
    let withdrawing = world.load(waiter.process.id).await;
    assert_eq!(withdrawing.owner, None);
    let done = must(world.turn(&withdrawing, complete()).await);
    assert_eq!(done.process.status(), Status::Completed);
}

/// Reported work keeps the node name from its spec, whichever node claims its slot. The named node needs no lease. If
/// the spec has no node name, the record has no node either.
pub async fn reported_work_keeps_the_node_name_of_its_spec(world: &StoreFixture) {
    let node = world.node("a").await;
    let label = Some(node_id("a label"));
    for (place, label) in [label, None].into_iter().enumerate() {
        for mut draft in [world.draft().reported(), world.draft().reported_in_queue()] {
            if let Work::Reported(reported) = &mut draft.spec.work {
                reported.node = label.clone();
            }
            let submitted = world.submit(draft).await;
            let id = submitted.process.id;
            assert_eq!(submitted.process.node, label, "{place}");
            world.claim(&node).await;
            let begun = world.load(id).await;
            assert_eq!((&begun.process.node, &begun.owner), (&label, &None));
            let done = must(world.turn(&begun, complete()).await);
            assert_eq!((&done.process.node, &done.owner), (&label, &None));
        }
    }
}

/// A new attempt starts with empty live stats and a new number.
pub async fn a_new_attempt_starts_with_empty_live_stats(world: &StoreFixture) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let live_stats = LiveStats { output_bytes: 17, ..LiveStats::default() };
    let told = [(starting.process.id, starting.process.attempt, live_stats.clone())];
    for answer in must(world.store.update_live_stats(&author(&starting), &told).await) {
        must(answer);
    }
    assert_eq!(world.load(starting.process.id).await.live_stats, live_stats);
    must(world.turn(&starting, never_ran(starting.process.attempt)).await);
    let claimed = some(world.claim(&node).await.pop());
    assert_eq!(claimed.live_stats, LiveStats::default());
    assert_eq!(claimed.process.attempt.0, 2);
}

/// Parents that are waiting for their children never prevent the children from running, however full the node is and
/// however deep the tree is.
pub async fn waiting_parents_never_block_their_children(world: &StoreFixture) {
    let node = world.node("a").await;
    let two = ClaimCapacity { roots: 2, ..room(&node) };
    for _ in 0..4 {
        world.submit(world.draft().priority(100)).await;
    }
    let mut parents = must(world.store.claim(&node, &two).await);
    assert_eq!(parents.len(), 2);
    for _ in 0..10 {
        let mut children = Vec::new();
        for parent in &parents {
            children.push(world.submit(world.draft().child_of(parent)).await.process.id);
        }
        parents = must(world.store.claim(&node, &two).await);
        assert_eq!(ids(&parents), children);
    }
}
