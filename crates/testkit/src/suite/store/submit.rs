//! Rules about submissions: new work is accepted completely or not at all.

use super::world::{StoreFixture, cancel, claimant, everything, ids};
use crate::suite::{instead_of, kept, must, refused, some};
use longhaul_domain::{Fact, PolicyVersion, State, Status};
use longhaul_ports::{
    ClaimRequest, PageRequest, ProcessFilter, SortOrder, StoreError, StoreRejection, SubmitOutcome,
};
use std::time::Duration;

/// When a submission returns, the process can be loaded and listed, and its event is in the log.
pub async fn a_submitted_process_exists_when_the_call_returns(world: &StoreFixture) {
    let stored = world.submit(world.draft().key("k")).await;
    let id = stored.process.id;
    assert_eq!(world.load(id).await, stored);
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 10 };
    let listing = must(world.store.list(&ProcessFilter::default(), &page).await);
    assert_eq!(listing.processes.as_slice(), std::slice::from_ref(&stored));
    let log = must(world.store.read(None, 10, false).await);
    let first = some(log.events.first());
    assert_eq!((first.id, first.revision, first.index), (id, stored.revision, 0));
    assert_eq!(first.event.fact, Fact::Submitted);
    assert_eq!(stored.process.status(), Status::Pending);
    assert_eq!(stored.owner, None);
}

/// A repeated submission changes nothing and returns the current record.
pub async fn a_repeated_submission_returns_the_current_record(world: &StoreFixture) {
    let node = world.node("a").await;
    let submission = world.submission(world.draft()).await;
    must(world.store.submit(submission.clone()).await);
    let became = some(world.claim(&node).await.pop());
    let again = must(world.store.submit(submission).await);
    let expected = SubmitOutcome::Existing { id: became.process.id, stored: Some(became), same_spec: true };
    assert_eq!(again, expected);
    assert_eq!(must(world.store.read(None, 10, false).await).events.len(), 2);
}

/// If a submission is repeated after its record was pruned, the store starts nothing and reports that the id is known.
pub async fn a_repeated_submission_is_recognized_after_a_prune(world: &StoreFixture) {
    let submission = world.submission(world.draft()).await;
    let id = submission.process.id;
    must(world.store.submit(submission.clone()).await);
    must(world.turn(&world.load(id).await, cancel()).await);
    assert_eq!(must(world.store.prune(&everything(), 10).await).ids, [id]);
    let again = must(world.store.submit(submission.clone()).await);
    assert_eq!(again, SubmitOutcome::Existing { id, stored: None, same_spec: true });
    let mut other = world.draft().key("other");
    other.id = id;
    let again = must(world.try_submit(other).await);
    assert_eq!(again, SubmitOutcome::Existing { id, stored: None, same_spec: false });
    assert!(!world.exists(id).await);
}

/// If one call prunes many records, all their ids remain known.
pub async fn every_id_is_known_after_a_prune_of_many_records(world: &StoreFixture) {
    let mut swept = Vec::new();
    for _ in 0..100 {
        let submission = world.submission(world.draft()).await;
        let id = submission.process.id;
        must(world.store.submit(submission.clone()).await);
        must(world.turn(&world.load(id).await, cancel()).await);
        swept.push((id, submission));
    }
    assert_eq!(must(world.store.prune(&everything(), 1000).await).ids.len(), swept.len());
    for (id, submission) in swept {
        let again = must(world.store.submit(submission).await);
        assert_eq!(again, SubmitOutcome::Existing { id, stored: None, same_spec: true });
    }
}

/// Each submission gets a higher sequence number than all previous submissions.
pub async fn sequence_numbers_increase_with_each_submission(world: &StoreFixture) {
    let first = world.submit(world.draft()).await;
    let second = world.submit(world.draft()).await;
    assert!(first.seq < second.seq);
}

/// A submission is refused if its limits come from an older policy than the store's.
pub async fn a_submission_with_limits_of_an_older_policy_is_refused(world: &StoreFixture) {
    let submission = world.submission(world.draft().key("k")).await;
    let (version, policy) = must(world.store.policy().await);
    let newer = must(world.store.set_policy(version, &policy).await);
    assert_ne!(newer, PolicyVersion::default());
    let id = submission.process.id;
    refused!(
        world.store.submit(submission).await,
        StoreError::Refused(StoreRejection::StalePolicy { found }) if *found == newer
    );
    assert!(!world.exists(id).await);
    assert_eq!(must(world.store.read(None, 10, false).await).events, []);
}

/// A submission is accepted if its limits come from a newer policy than the store's. Only limits from an older policy
/// could be too high.
pub async fn a_submission_with_limits_of_a_newer_policy_is_accepted(world: &StoreFixture) {
    let mut submission = world.submission(world.draft().key("k")).await;
    submission.limits.policy = submission.limits.policy.next();
    let id = submission.process.id;
    kept("limits of a newer policy are taken", world.store.submit(submission).await);
    assert!(world.exists(id).await);
}

/// Reported work starts immediately, without a slot and without an owner.
pub async fn reported_work_starts_immediately_without_owner(world: &StoreFixture) {
    let node = world.node("a").await;
    let stored = world.submit(world.draft().key("k").reported()).await;
    assert_eq!(stored.process.state, State::Reported { slot: false });
    assert_eq!(stored.owner, None);
    assert_eq!(must(world.store.queues(None).await), []);
    assert_eq!(world.claim_ids(&node).await, []);
}

/// A delayed process enters the queue only after a decision that its start time has come.
pub async fn delayed_work_is_not_claimed_before_its_time(world: &StoreFixture) {
    let node = world.node("a").await;
    let at = world.now().plus(Duration::from_secs(60));
    let stored = world.submit(world.draft().not_before(at)).await;
    assert_eq!(world.claim_ids(&node).await, []);
    world.clock.advance(Duration::from_secs(61));
    let stored = must(world.turn(&stored, longhaul_domain::Input::Tick).await);
    assert_eq!(ids(&world.claim(&node).await), [stored.process.id]);
}

/// A submission with an immediate claim is claimed in the same step if a slot is free and no process is waiting ahead
/// of it. The submission and the claim count as two revisions.
pub async fn an_immediate_claim_succeeds_with_a_free_slot(world: &StoreFixture) {
    let node = world.node("a").await;
    let draft = world.draft().key("k").claimed_for(claimant(&node));
    let submitted = must(world.try_submit(draft).await);
    let SubmitOutcome::Claimed(stored) = submitted else {
        instead_of("a claim", &submitted);
    };
    assert_eq!(stored.owner, Some(node.clone()));
    assert_eq!(stored.process.status(), Status::Starting);
    assert_eq!(stored.process.attempt.0, 1);
    assert_eq!(stored.process.node, Some(node.node));
    assert_eq!(world.load(stored.process.id).await, stored);
    let log = must(world.store.read(None, 10, false).await).events;
    let facts: Vec<(&str, u64, u32)> =
        log.iter().map(|logged| (logged.event.fact.name(), logged.revision.0, logged.index)).collect();
    assert_eq!(facts, [("submitted", 1, 0), ("claimed", 2, 0)]);
    assert_eq!(stored.revision.0, 2);
}

/// A submission with an immediate claim does not overtake waiting processes with the same key.
pub async fn an_immediate_claim_does_not_overtake_waiting_processes(world: &StoreFixture) {
    let node = world.node("a").await;
    let ahead = world.submit(world.draft().key("k")).await;
    let draft = world.draft().key("k").claimed_for(claimant(&node));
    let submitted = must(world.try_submit(draft).await);
    let SubmitOutcome::Waiting(behind) = submitted else {
        instead_of("a waiter", &submitted);
    };
    assert_eq!(world.claim_ids(&node).await, [ahead.process.id, behind.process.id]);
}

/// A submission with an immediate claim overtakes waiting processes of lower priority.
pub async fn an_immediate_claim_overtakes_processes_of_lower_priority(world: &StoreFixture) {
    let node = world.node("a").await;
    world.submit(world.draft().key("k")).await;
    let urgent = world.draft().key("k").priority(1);
    assert_eq!(world.start(urgent, &node).await.owner, Some(node));
}

/// An immediate claim respects the maximum number of roots on the node. A child does not count as a root.
pub async fn an_immediate_claim_respects_the_root_limit(world: &StoreFixture) {
    let node = world.node("a").await;
    let small = ClaimRequest { lease: node.clone(), roots: 1 };
    let parent = world.run(world.draft(), &node).await;
    let root = world.draft().claimed_for(small.clone());
    assert!(matches!(must(world.try_submit(root).await), SubmitOutcome::Waiting(_)));
    let child = world.draft().child_of(&parent).claimed_for(small);
    assert!(matches!(must(world.try_submit(child).await), SubmitOutcome::Claimed(_)));
}

/// A submission that must not wait is refused if no slot is free. The refusal names the processes that hold the slots,
/// and nothing is written.
pub async fn a_refused_launch_names_the_slot_holders(world: &StoreFixture) {
    let node = world.node("a").await;
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k".to_owned(), 1);
    must(world.store.set_policy(version, &policy).await);
    let holder = world.start(world.draft().key("k"), &node).await;
    let draft = world.draft().key("k").claimed_for(claimant(&node)).or_refused();
    let id = draft.id;
    refused!(
        world.try_submit(draft).await,
        StoreError::Refused(StoreRejection::NoSlot { key: Some(key), holders })
            if key.as_str() == "k" && *holders == [holder.process.id]
    );
    assert!(!world.exists(id).await);
    let fits = world.draft().key("other").claimed_for(claimant(&node)).or_refused();
    assert!(matches!(must(world.try_submit(fits).await), SubmitOutcome::Claimed(_)));
}

/// A submission that must not wait is refused if the node cannot hold another root. The refusal names the roots.
pub async fn a_refused_launch_names_the_roots_of_a_full_node(world: &StoreFixture) {
    let node = world.node("a").await;
    let root = world.run(world.draft(), &node).await;
    let child = world.run(world.draft().key("k").child_of(&root), &node).await;
    let full = ClaimRequest { lease: node, roots: 1 };
    let draft = world.draft().key("k").claimed_for(full).or_refused();
    let id = draft.id;
    refused!(
        world.try_submit(draft).await,
        StoreError::Refused(StoreRejection::NoSlot { key: None, holders })
            if *holders == [root.process.id] && !holders.contains(&child.process.id)
    );
    assert!(!world.exists(id).await);
}
