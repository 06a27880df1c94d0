//! The rules about restoring lost records.

use super::RestoreFixture;
use crate::suite::store::{GRACE, LEASE, node_id, spawned};
use crate::suite::{must, refused, some};
use longhaul_domain::{
    AttemptNo, LiveStats, PendingAction, Policy, Progress, Revision, Seq, SlotState, Status, StopCause,
};
use longhaul_ports::{
    EventCursor, HighWaterMarks, History, IdSource, Lease, RecordPosition, RestoreOutcome, StoreError,
    StoredProcess, SubmitOutcome, Writer,
};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

async fn limit(world: &RestoreFixture, key: &str, slots: u32) {
    let (version, policy) = must(world.store.policy().await);
    let policy = Policy { slots: [(key.to_owned(), slots)].into(), ..policy };
    must(world.store.set_policy(version, &policy).await);
}

async fn history(world: &RestoreFixture) -> History {
    must(world.restore.history().await)
}

/// A lost record is restored unchanged, except that its revision is one higher and its owner is the newest lease of its
/// node. An event reports that the record was restored.
pub async fn a_lost_record_is_restored_unchanged(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft().session("s").key("gpu"), &node).await;
    world.lose_everything();
    assert!(!world.exists(running.process.id).await);
    let again = world.node("a").await;
    world.clock.advance(S);
    let there = world.given(&again, &running).await;
    assert_eq!(there.revision, running.revision.next());
    assert_eq!(
        there,
        StoredProcess { revision: there.revision, owner: Some(again.clone()), ..running.clone() }
    );
    world.told(&again).await;
    let ended = world.exit(&there, 0).await;
    assert_eq!(ended.process.status(), Status::Completed);
}

/// Restoring the same record a second time changes nothing.
pub async fn a_repeated_restore_changes_nothing(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    world.lose_everything();
    let again = world.node("a").await;
    let there = world.given(&again, &running).await;
    let end = must(world.store.end().await);
    assert_eq!(world.give(&again, &running).await, RestoreOutcome::AlreadyPresent(there.revision));
    assert_eq!(world.load(running.process.id).await, there);
    assert_eq!(must(world.store.end().await), end, "the restore is logged only once");
}

/// If one node restored an earlier revision of a record, a later revision from another node replaces it.
pub async fn a_restored_record_is_replaced_by_a_later_revision(world: &RestoreFixture) {
    let node = world.node("a").await;
    let accepted = world.submit(world.draft()).await;
    let claimed = some(world.claim(&node).await.pop());
    world.lose_everything();
    let (here, other) = (world.node("a").await, world.node("b").await);
    let waiting = world.given(&other, &accepted).await;
    assert_eq!(waiting.process.state.slot_state(), SlotState::Waiting);
    assert_eq!(claimed.revision, waiting.revision, "what was given back is not what stood at this revision");
    let there = world.given(&here, &claimed).await;
    assert!(there.revision > waiting.revision);
    assert_eq!((there.owner.clone(), there.process.attempt), (Some(here.clone()), AttemptNo(1)));
    assert_eq!(world.claim(&other).await, [], "it waits no more");
    must(world.turn(&there, spawned(&there)).await);
}

/// A restore never replaces a record that has the same or a later revision.
pub async fn a_restore_never_replaces_the_same_or_a_later_revision(world: &RestoreFixture) {
    let node = world.node("a").await;
    let accepted = world.submit(world.draft()).await;
    let running = some(world.claim(&node).await.pop());
    let running = must(world.turn(&running, spawned(&running)).await);
    assert_eq!(world.give(&node, &accepted).await, RestoreOutcome::AlreadyPresent(running.revision));
    assert_eq!(world.give(&node, &running).await, RestoreOutcome::AlreadyPresent(running.revision));
    assert_eq!(world.load(running.process.id).await, running);
    world.lose_everything();
    let again = world.node("a").await;
    let there = world.given(&again, &running).await;
    let ended = world.exit(&there, 0).await;
    assert_eq!(world.give(&again, &running).await, RestoreOutcome::AlreadyPresent(ended.revision));
    assert_eq!(world.load(running.process.id).await, ended);
}

/// A pruned process is not restored.
pub async fn a_pruned_process_is_not_restored(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let ended = world.exit(&running, 0).await;
    world.clock.advance(S);
    let rule = longhaul_domain::Retention { age: Some(Duration::ZERO), count: None, before: None };
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, [ended.process.id]);
    assert_eq!(world.give(&node, &ended).await, RestoreOutcome::Pruned);
    assert!(!world.exists(ended.process.id).await);
    assert_eq!(must(world.restore.record_positions(&[ended.process.id]).await), [RecordPosition::Pruned]);
}

/// A lease that is not the newest lease of its node cannot restore records.
pub async fn an_old_lease_restores_nothing(world: &RestoreFixture) {
    let old = world.node("a").await;
    let running = world.run(world.draft(), &old).await;
    let missing = StoredProcess {
        process: longhaul_domain::Process { id: world.ids.process(), ..running.process.clone() },
        ..running
    };
    world.node("a").await;
    refused!(
        world.restore.restore(&old, std::slice::from_ref(&missing)).await,
        StoreError::Fenced { node, .. } if *node == old.node
    );
    assert!(!world.exists(missing.process.id).await);
}

/// For each id, the store reports whether the record is missing, or its revision. A restored record has the revision of
/// the copy that was restored.
pub async fn the_store_reports_the_revision_of_each_record(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let waiting = world.submit(world.draft()).await;
    let ids = [waiting.process.id, world.ids.process(), running.process.id];
    let record_positions = must(world.restore.record_positions(&ids).await);
    assert_eq!(
        record_positions,
        [RecordPosition::At(Revision(1)), RecordPosition::Missing, RecordPosition::At(running.revision)]
    );
    world.lose_everything();
    let again = world.node("a").await;
    let there = world.given(&again, &running).await;
    let ids = [running.process.id];
    assert_eq!(must(world.restore.record_positions(&ids).await), [RecordPosition::At(running.revision)]);
    let ended = world.exit(&there, 0).await;
    assert_eq!(must(world.restore.record_positions(&ids).await), [RecordPosition::At(ended.revision)]);
}

/// A restored running process occupies its slot again. When it ends, it frees the slot.
pub async fn a_restored_running_process_holds_its_slot_again(world: &RestoreFixture) {
    let node = world.node("a").await;
    limit(world, "gpu", 1).await;
    let running = world.run(world.draft().key("gpu"), &node).await;
    world.lose_everything();
    let again = world.node("a").await;
    limit(world, "gpu", 1).await;
    let there = world.given(&again, &running).await;
    let next = world.submit(world.draft().key("gpu")).await;
    assert_eq!(world.claim(&again).await, []);
    world.exit(&there, 0).await;
    assert_eq!(world.claim_ids(&again).await, [next.process.id]);
}

/// A restored pending process keeps its position in the queue, ahead of processes that were submitted later.
pub async fn a_restored_waiting_process_keeps_its_position(world: &RestoreFixture) {
    world.node("a").await;
    let first = world.submit(world.draft().key("gpu")).await;
    let second = world.submit(world.draft().key("gpu")).await;
    let urgent = world.submit(world.draft().key("gpu").priority(5)).await;
    world.lose_everything();
    let again = world.node("a").await;
    must(world.restore.advance_marks(&HighWaterMarks { seq: urgent.seq, ..HighWaterMarks::default() }).await);
    let late = world.submit(world.draft().key("gpu")).await;
    for kept in [&second, &urgent, &first] {
        assert_eq!(world.given(&again, kept).await.seq, kept.seq);
    }
    let wanted = [&urgent, &first, &second, &late].map(|stored| stored.process.id);
    assert_eq!(world.claim_ids(&again).await, wanted);
}

/// A record that another node owned before the loss belongs to that node again, under its newest lease.
pub async fn a_restored_record_belongs_to_its_former_owner(world: &RestoreFixture) {
    let owner = world.node("b").await;
    let running = world.run(world.draft(), &owner).await;
    world.lose_everything();
    let (here, owner) = (world.node("a").await, world.node("b").await);
    let there = world.given(&here, &running).await;
    assert_eq!(there.owner, Some(owner));
    assert_eq!(world.exit(&there, 0).await.process.status(), Status::Completed);
}

/// If the owner of a restored record does not return, the record loses its owner and becomes due when the lease and the
/// grace period are over.
pub async fn a_restored_record_of_an_absent_owner_becomes_due(world: &RestoreFixture) {
    let owner = world.node("b").await;
    let running = world.run(world.draft(), &owner).await;
    world.lose_everything();
    let here = world.node("a").await;
    let there = world.given(&here, &running).await;
    assert_eq!(there.owner.as_ref().map(|owner| &owner.node), Some(&owner.node), "it is expected");
    let due = world.now().plus(LEASE + GRACE);
    assert_eq!(must(world.store.renew_lease(&here).await).due, Some(due));
    while world.now().plus(S) < due {
        world.clock.advance(S);
        must(world.store.renew_lease(&here).await);
        assert_eq!(must(world.store.claim_due(&here, 10).await), []);
    }
    world.clock.advance(S);
    must(world.store.renew_lease(&here).await);
    let orphan = StoredProcess { owner: None, ..there };
    assert_eq!(must(world.store.claim_due(&here, 10).await), [orphan]);
}

/// If a node restores the record of another node, the record still belongs to its owner. This applies whether the owner
/// continues its old lease or registers again.
pub async fn an_owner_continues_a_record_that_another_node_restored(world: &RestoreFixture) {
    let old = world.node("b").await;
    let running = world.run(world.draft(), &old).await;
    world.lose_everything();
    let here = world.node("a").await;
    let there = world.given(&here, &running).await;
    assert_eq!(there.owner, Some(old.clone()));
    must(world.store.renew_lease(&old).await);
    let owner = world.node("b").await;
    assert!(owner.epoch > old.epoch);
    assert_eq!(world.load(running.process.id).await.owner, Some(owner.clone()));
    assert_eq!(world.give(&owner, &running).await, RestoreOutcome::AlreadyPresent(there.revision));
    let now = world.load(running.process.id).await;
    assert_eq!(world.exit(&now, 0).await.process.status(), Status::Completed);
}

/// If another node claimed a process after the loss, in the same attempt, the process stays with that node.
pub async fn a_process_claimed_after_the_loss_stays_with_its_new_node(world: &RestoreFixture) {
    let node = world.node("a").await;
    let accepted = world.submit(world.draft()).await;
    let running = some(world.claim(&node).await.pop());
    let mut running = must(world.turn(&running, spawned(&running)).await);
    running.revision = Revision(running.revision.0 + 5);
    world.lose_everything();
    let (here, other) = (world.node("a").await, world.node("b").await);
    world.given(&other, &accepted).await;
    let taken = some(world.claim(&other).await.pop());
    assert_eq!(world.give(&here, &running).await, RestoreOutcome::AlreadyPresent(taken.revision));
    assert_eq!(world.load(running.process.id).await, taken);
}

/// The record of an ended process is always restored, even if another node has claimed the process after the loss.
pub async fn an_ended_record_is_always_restored(world: &RestoreFixture) {
    let node = world.node("a").await;
    let accepted = world.submit(world.draft()).await;
    let running = some(world.claim(&node).await.pop());
    let running = must(world.turn(&running, spawned(&running)).await);
    let ended = world.exit(&running, 0).await;
    world.lose_everything();
    let (here, other) = (world.node("a").await, world.node("b").await);
    world.given(&other, &accepted).await;
    world.claim(&other).await;
    let there = world.given(&here, &ended).await;
    assert_eq!((there.process.status(), there.owner.clone()), (Status::Completed, None));
    assert_eq!(there.process, ended.process);
}

/// An ended process is never replaced by a copy that has not ended, not even by a copy with a later revision.
pub async fn an_ended_record_is_never_replaced_by_a_live_copy(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let ended = world.exit(&running, 0).await;
    world.lose_everything();
    let (here, other) = (world.node("a").await, world.node("b").await);
    let there = world.given(&here, &ended).await;
    let often = StoredProcess { revision: Revision(there.revision.0 + 5), ..running };
    assert_eq!(world.give(&other, &often).await, RestoreOutcome::AlreadyPresent(there.revision));
    assert_eq!(world.load(ended.process.id).await, there);
}

/// Pending actions are restored and reported to the owner, and their numbering continues. The live stats are restored
/// too.
pub async fn pending_actions_and_live_stats_are_restored(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let id = running.process.id;
    must(world.store.enqueue_action(&id, world.ids.op(), PendingAction::Pause).await);
    let no = must(
        world
            .store
            .enqueue_action(&id, world.ids.op(), PendingAction::Cancel { cause: StopCause::User })
            .await,
    );
    let live_stats = LiveStats { progress: Some(Progress::DONE), ..LiveStats::default() };
    let by = Writer::Owner(node.clone());
    must(world.store.update_live_stats(&by, &[(id, running.process.attempt, live_stats.clone())]).await);
    let kept = world.load(id).await;
    world.lose_everything();
    let again = world.node("a").await;
    let there = world.given(&again, &kept).await;
    assert_eq!((&there.pending_actions, &there.live_stats), (&kept.pending_actions, &live_stats));
    assert_eq!(must(world.store.renew_lease(&again).await).pending_actions, [id]);
    let next = world.ids.op();
    assert_eq!(must(world.store.enqueue_action(&id, next, PendingAction::Resume).await), no.next());
}

/// A launch key never starts a second process, even if the record of the first process was lost for a while.
pub async fn a_restored_launch_key_starts_no_second_process(world: &RestoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft().session("s").launch_key("once"), &node).await;
    world.lose_everything();
    let again = world.node("a").await;
    world.given(&again, &running).await;
    let second = world.draft().session("s").launch_key("once");
    let submitted = must(world.try_submit(second).await);
    assert!(
        matches!(&submitted, SubmitOutcome::Existing { id, same_spec: true, .. } if *id == running.process.id),
        "{submitted:?}"
    );
}

/// A launch with sequence number 0 was never confirmed to a client. If another process got the launch key of such a
/// launch after the loss, the launch is dropped. A launch that the store had confirmed is restored in any case.
pub async fn an_unconfirmed_launch_is_dropped_if_its_key_is_used(world: &RestoreFixture) {
    let node = world.node("a").await;
    let first = world.submit(world.draft().session("s").launch_key("once")).await;
    let other = |seq| StoredProcess {
        process: longhaul_domain::Process { id: world.ids.process(), ..first.process.clone() },
        seq,
        ..first.clone()
    };
    let doubtful = other(Seq(0));
    assert_eq!(world.give(&node, &doubtful).await, RestoreOutcome::Pruned);
    assert!(!world.exists(doubtful.process.id).await);
    let told = other(Seq(7));
    world.given(&node, &told).await;
    assert!(world.exists(told.process.id).await && world.exists(first.process.id).await);
}

/// Event cursors and sequence numbers are never issued twice, and no high-water mark ever decreases.
pub async fn high_water_marks_never_decrease(world: &RestoreFixture) {
    world.node("a").await;
    must(
        world
            .restore
            .advance_marks(&HighWaterMarks { end: EventCursor(50), seq: Seq(40), policy: None })
            .await,
    );
    let first = world.submit(world.draft()).await;
    assert!(first.seq > Seq(40), "{:?}", first.seq);
    let end = must(world.store.end().await);
    assert!(end > EventCursor(50), "{end:?}");
    must(
        world.restore.advance_marks(&HighWaterMarks { end: EventCursor(3), seq: Seq(2), policy: None }).await,
    );
    assert_eq!(must(world.store.end().await), end);
    assert_eq!(world.submit(world.draft()).await.seq, first.seq.next());
    let page = must(world.store.read(Some(EventCursor(40)), 10, false).await);
    assert!(page.gap, "a reader with an earlier cursor gets a gap");
}

/// A policy with a later version replaces an earlier one and keeps its version. An earlier policy never replaces a
/// later one.
pub async fn a_later_policy_is_restored(world: &RestoreFixture) {
    world.node("a").await;
    for slots in 1..=3 {
        limit(world, "gpu", slots).await;
    }
    let kept = must(world.store.policy().await);
    world.lose_everything();
    world.node("a").await;
    limit(world, "gpu", 9).await;
    must(
        world
            .restore
            .advance_marks(&HighWaterMarks { policy: Some(kept.clone()), ..HighWaterMarks::default() })
            .await,
    );
    assert_eq!(must(world.store.policy().await), kept);
    limit(world, "gpu", 4).await;
    let newer = must(world.store.policy().await);
    must(
        world
            .restore
            .advance_marks(&HighWaterMarks { policy: Some(kept), ..HighWaterMarks::default() })
            .await,
    );
    assert_eq!(must(world.store.policy().await), newer);
}

/// A lease renewal reports the position of the store's history. After data loss it reports a new incarnation.
pub async fn data_loss_leads_to_a_new_incarnation(world: &RestoreFixture) {
    let node: Lease = world.node("a").await;
    let before = history(world).await;
    assert_eq!(must(world.store.renew_lease(&node).await).history, Some(before.clone()));
    world.submit(world.draft()).await;
    let later = history(world).await;
    assert!(later.continues(&before) && !before.continues(&later));
    assert_eq!(must(world.store.renew_lease(&node).await).history, Some(later.clone()));
    world.lose_everything();
    assert!(!history(world).await.continues(&later));
    world.node("a").await;
    must(world.restore.advance_marks(&HighWaterMarks { end: later.end, ..HighWaterMarks::default() }).await);
    let emptied = history(world).await;
    assert!(emptied.incarnation.is_some() && !emptied.continues(&later), "{emptied:?} after {later:?}");
}

/// A node can register in a store that has lost all data. The store then accepts and claims work.
pub async fn a_node_can_register_in_an_emptied_store(world: &RestoreFixture) {
    let old = world.node("a").await;
    world.lose_everything();
    refused!(world.store.renew_lease(&old).await, StoreError::Fenced { .. });
    assert!(must(world.store.list_nodes().await).iter().all(|node| node.facts.id != node_id("a")));
    let node = world.node("a").await;
    let waiter = world.submit(world.draft()).await;
    assert_eq!(world.claim_ids(&node).await, [waiter.process.id]);
    world.lose_everything();
    must(world.restore.advance_marks(&HighWaterMarks::default()).await);
    must(world.store.policy().await);
}
