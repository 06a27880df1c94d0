//! Rules about submissions with an immediate claim, and about refusals of submissions that would have to wait.

use super::draft::SubmissionBuilder;
use super::world::{StoreFixture, claimant, ids, node_id};
use crate::suite::{instead_of, must, refused};
use longhaul_domain::{Capability, Placement, QueueHold, SlotKey};
use longhaul_ports::{ClaimRequest, Lease, StoreError, StoreRejection, SubmitOutcome};
use std::time::Duration;

/// A submission can claim its process only under the newest lease of its node. Under any other lease, it writes
/// nothing. A repeated submission gets the first answer again, under any lease.
pub async fn an_immediate_claim_needs_the_newest_lease(world: &StoreFixture) {
    let old = world.node("a").await;
    let first = world.draft();
    let again = SubmissionBuilder { claim_for: Some(claimant(&old)), ..first.clone() };
    let first = world.start(first, &old).await;
    let new = world.node("a").await;
    let ahead = Lease { epoch: new.epoch.next(), ..new.clone() };
    let unknown = Lease { node: node_id("never-joined"), epoch: old.epoch };
    for stranger in [old, ahead, unknown] {
        let draft = world.draft().claimed_for(claimant(&stranger));
        let id = draft.id;
        refused!(
            world.try_submit(draft).await,
            StoreError::Fenced { node, epoch } if *node == stranger.node && *epoch == stranger.epoch
        );
        assert!(!world.exists(id).await, "a refused submit writes nothing");
    }
    let became = must(world.try_submit(again).await);
    let SubmitOutcome::Existing { id, .. } = became else { instead_of("what it became", &became) };
    assert_eq!(id, first.process.id);
    world.start(world.draft(), &new).await;
}

/// A submission does not overtake a waiting process with the same key and an equal or higher priority if this node may
/// run the waiting process. This applies even if other nodes may run the waiting process too. A process that is pinned
/// to another node is overtaken.
pub async fn an_immediate_claim_does_not_overtake_a_process_that_this_node_may_run(world: &StoreFixture) {
    let here = world.node("a").await;
    let there = world.node("b").await;
    let pinned = |lease: &Lease| Placement::Node(lease.node.clone());
    let labels = Placement::Labels(vec![must(Capability::new("gpu"))]);
    let shared = [Placement::Anywhere, Placement::Here, labels];
    for (place, ahead) in shared.into_iter().chain([pinned(&here)]).enumerate() {
        let key = format!("k{place}");
        world.submit(world.draft().key(&key).placed(ahead.clone())).await;
        for placement in [pinned(&here), Placement::Anywhere] {
            let draft = world.draft().key(&key).placed(placement.clone()).claimed_for(claimant(&here));
            let submitted = must(world.try_submit(draft).await);
            assert!(
                matches!(submitted, SubmitOutcome::Waiting(_)),
                "{placement:?} goes behind {ahead:?}, which this node may run: {submitted:?}"
            );
        }
    }
    world.submit(world.draft().key("theirs").priority(100).placed(pinned(&there))).await;
    world.start(world.draft().key("theirs"), &here).await;
}

/// If a key is on hold, a submission with this key is not claimed, even if all slots are free and no process is
/// waiting.
pub async fn an_immediate_claim_takes_no_slot_of_a_held_key(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.held.insert(must(SlotKey::new("k")), QueueHold::default());
    must(world.store.set_policy(version, &policy).await);
    let draft = || world.draft().key("k").claimed_for(claimant(&node));
    refused!(
        world.try_submit(draft().or_refused()).await,
        StoreError::Refused(StoreRejection::NoSlot { key: Some(key), holders })
            if key.as_str() == "k" && holders.is_empty()
    );
    let submitted = must(world.try_submit(draft()).await);
    assert!(
        matches!(submitted, SubmitOutcome::Waiting(_)),
        "a key on hold gives no process a slot: {submitted:?}"
    );
    assert_eq!(world.claim_ids(&node).await, []);
}

/// A submission with the condition that it must not wait is refused only if it would wait for a slot. Delayed work and
/// work that needs no slot are accepted. The refusal names the key, unless the root limit of the node is the only
/// obstacle.
pub async fn a_launch_that_must_not_wait_is_refused_without_a_free_slot(world: &StoreFixture) {
    let here = world.node("a").await;
    let there = world.node("b").await;
    let later = world.now().plus(Duration::from_secs(60));
    let delayed = world.submit(world.draft().key("k").not_before(later).or_refused()).await;
    let reported = world.submit(world.draft().key("k").reported().or_refused()).await;
    let elsewhere = world.draft().placed(Placement::Node(there.node)).claimed_for(claimant(&here));
    let full = ClaimRequest { lease: here.clone(), roots: 0 };
    for (draft, named) in [
        (world.draft().key("k"), Some("k")),
        (world.draft(), None),
        (elsewhere.clone().key("k"), Some("k")),
        (elsewhere, None),
        (world.draft().key("k").claimed_for(full), None),
    ] {
        refused!(
            world.try_submit(SubmissionBuilder { id: world.draft().id, ..draft.or_refused() }).await,
            StoreError::Refused(StoreRejection::NoSlot { key, holders })
                if key.as_ref().map(|key| key.as_str()) == named && holders.is_empty()
        );
    }
    let page =
        longhaul_ports::PageRequest { order: longhaul_ports::SortOrder::OldestFirst, after: None, limit: 10 };
    let all = must(world.store.list(&longhaul_ports::ProcessFilter::default(), &page).await).processes;
    assert_eq!(ids(&all), [delayed.process.id, reported.process.id]);
}
