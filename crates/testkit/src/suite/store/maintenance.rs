//! Rules about due processes without an owner, and about pruning.

use super::world::{StoreFixture, cancel, descendants_ended, everything, ids, never_ran, room, terminate};
use crate::suite::{must, parked, refused, some, soon};
use longhaul_domain::{Action, Input, PendingAction, Retention, SessionPolicy};
use longhaul_ports::{
    ClaimCapacity, IdSource, PageRequest, ProcessFilter, SortOrder, StoreError, StoredProcess,
};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A due process is handed to one engine for five seconds. If nothing was committed in this time, the process is handed
/// to another engine.
pub async fn a_due_process_is_handed_out_once_in_five_seconds(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    let due = world.now().plus(S * 10);
    let delayed = world.submit(world.draft().not_before(due)).await;
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    assert_eq!(must(world.store.renew_lease(&node).await).due, Some(due));
    world.clock.advance(S * 10);
    let handed = must(world.store.claim_due(&node, 10).await);
    assert_eq!(handed.as_slice(), std::slice::from_ref(&delayed));
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    // The reported due time is the end of the five seconds. A timer that is set to it fires when the process is
    // available again.
    assert_eq!(must(world.store.renew_lease(&node).await).due, Some(world.now().plus(S * 5)));
    world.clock.advance(S * 4);
    assert_eq!(must(world.store.claim_due(&other, 10).await), []);
    world.clock.advance(S);
    assert_eq!(must(world.store.claim_due(&other, 10).await), [delayed]);
}

/// A process is no longer due after a decision about it was committed.
pub async fn a_decided_process_is_not_handed_out(world: &StoreFixture) {
    let node = world.node("a").await;
    let due = world.now().plus(S);
    let delayed = world.submit(world.draft().not_before(due)).await;
    world.clock.advance(S);
    must(world.turn(&delayed, Input::Tick).await);
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    assert_eq!(must(world.store.renew_lease(&node).await).due, None);
}

/// A commit ends the five seconds for which a due process is reserved. If the process is still due, the store returns
/// it again immediately.
pub async fn a_commit_ends_the_reservation_of_a_due_process(world: &StoreFixture) {
    let node = world.node("a").await;
    let due = world.now().plus(S);
    let delayed = world.submit(world.draft().not_before(due)).await;
    world.clock.advance(S);
    assert_eq!(must(world.store.claim_due(&node, 10).await), std::slice::from_ref(&delayed));
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    let moved = must(world.turn(&delayed, super::world::prioritize(1)).await);
    let again = must(world.store.renew_lease(&node).await).due;
    assert!(again.is_some_and(|again| again <= world.now()), "it is due again at once, not at {again:?}");
    assert_eq!(must(world.store.claim_due(&node, 10).await), [moved]);
}

/// Only due processes without an owner are handed out. Processes that have an owner, that are due later, or that have
/// ended are not handed out.
pub async fn only_due_processes_without_an_owner_are_handed_out(world: &StoreFixture) {
    let node = world.node("a").await;
    world.run(world.draft().retrying(), &node).await;
    world.submit(world.draft().reported()).await;
    let later = world.submit(world.draft().not_before(world.now().plus(DAY))).await;
    let gone = world.submit(world.draft().not_before(world.now().plus(S))).await;
    must(world.turn(&gone, cancel()).await);
    let withdrawn = world.submit(world.draft().reported()).await;
    let withdrawn = must(world.turn(&withdrawn, cancel()).await);
    let retrying = world.run(world.draft().retrying(), &node).await;
    let retrying = world.exit(&retrying, 1).await;
    world.clock.advance(Duration::from_secs(3600));
    let handed = must(world.store.claim_due(&node, 10).await);
    assert_eq!(ids(&handed), [retrying.process.id, withdrawn.process.id]);
    assert!(!ids(&handed).contains(&later.process.id));
}

/// A process that is waiting for its descendants is handed out repeatedly, because the store may have missed the end of
/// a descendant.
pub async fn a_process_that_waits_for_its_children_is_handed_out(world: &StoreFixture) {
    let node = world.node("a").await;
    let (parent, _child) = world.lingering(&node, world.draft()).await;
    let handed = must(world.store.claim_due(&node, 10).await);
    assert_eq!(handed.as_slice(), std::slice::from_ref(&parent));
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    world.clock.advance(S * 5);
    assert_eq!(must(world.store.claim_due(&node, 10).await), std::slice::from_ref(&parent));
    must(world.turn(&parent, descendants_ended()).await);
    world.clock.advance(S * 5);
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
}

/// An ended process whose cascade is unfinished is handed out until the cascade is finished. It is not pruned before.
pub async fn an_unfinished_cascade_is_handed_out_until_it_is_finished(world: &StoreFixture) {
    let node = world.node("a").await;
    let parent = world.run(world.draft(), &node).await;
    world.run(world.draft().child_of(&parent), &node).await;
    let stopping = must(world.turn(&parent, terminate()).await);
    assert_eq!(must(world.store.claim_due(&node, 10).await), [], "its owner looks after it");
    let ended = world.exit(&stopping, 0).await;
    for _ in 0..3 {
        let handed = must(world.store.claim_due(&node, 10).await);
        assert_eq!(handed.as_slice(), std::slice::from_ref(&ended));
        assert_eq!(must(world.store.claim_due(&node, 10).await), []);
        world.clock.advance(S * 5);
        assert_eq!(must(world.store.prune(&everything(), 10).await).ids, []);
    }
    must(world.turn(&ended, descendants_ended()).await);
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    assert_eq!(must(world.store.prune(&everything(), 10).await).ids, [ended.process.id]);
}

/// A process that has a pending action but no owner is handed out until the action is executed. This applies in every
/// state, because other nodes may have no record of the action. The process is not pruned before.
pub async fn a_pending_action_without_owner_is_handed_out(world: &StoreFixture) {
    let node = world.node("a").await;
    let enqueue = async |stored: &StoredProcess| {
        must(world.store.enqueue_action(&stored.process.id, world.ids.op(), PendingAction::Pause).await);
        world.load(stored.process.id).await
    };
    let delayed = world.submit(world.draft().not_before(world.now().plus(DAY))).await;
    let never_owned = enqueue(&world.submit(world.draft().reported()).await).await;
    let ended = world.run(world.draft(), &node).await;
    let ended = enqueue(&world.exit(&ended, 0).await).await;
    let starting = enqueue(&world.start(world.draft(), &node).await).await;
    let owned = enqueue(&world.run(world.draft(), &node).await).await;
    let let_go = must(world.turn(&starting, never_ran(starting.process.attempt)).await);
    assert_eq!(let_go.owner, None);
    let delayed = enqueue(&delayed).await;
    let wished = [delayed, never_owned, ended, let_go];
    for _ in 0..2 {
        assert_eq!(
            must(world.store.renew_lease(&node).await).due.map(|due| due.max(world.now())),
            Some(world.now())
        );
        assert_eq!(must(world.store.claim_due(&node, 10).await), wished);
        assert_eq!(must(world.store.claim_due(&node, 10).await), []);
        assert_eq!(must(world.store.prune(&everything(), 10).await).ids, []);
        world.clock.advance(S * 5);
    }
    for stored in &wished {
        let mut answer = world.change(stored, Input::Tick);
        answer.taken = some(stored.pending_actions.last()).0;
        must(world.store.commit(answer).await);
    }
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    assert_eq!(
        must(world.store.prune(&everything(), 10).await).ids,
        wished.get(2..3).map(ids).unwrap_or_default()
    );
    assert_eq!(
        must(world.store.renew_lease(&node).await).pending_actions,
        [owned.process.id],
        "its owner is called instead"
    );
}

/// A pending action for a process without an owner notifies every node.
pub async fn a_pending_action_without_owner_notifies_every_node(world: &StoreFixture) {
    let node = world.node("a").await;
    let stored = world.submit(world.draft().reported()).await;
    world.hear_out(&node).await;
    let wait_for_updates = {
        let (store, node) = (world.store.clone(), node.clone());
        tokio::spawn(async move { store.wait_for_updates(&node).await })
    };
    let wait_for_updates = parked(wait_for_updates).await;
    must(world.store.enqueue_action(&stored.process.id, world.ids.op(), PendingAction::Pause).await);
    let calls = must(must(soon(wait_for_updates).await));
    assert!(calls.due.is_some_and(|due| due <= calls.now), "{calls:?}");
}

/// A waiting process whose session has ended stays in the queue. It is handed out when its grace period is over.
pub async fn a_waiting_process_is_due_at_the_end_of_its_grace_period(world: &StoreFixture) {
    let node = world.node("a").await;
    let end = Input::Action(Action::EndSession { policy: Some(SessionPolicy::Grace(S * 30)) });
    let mut leaving = Vec::new();
    for _ in 0..2 {
        let waiter = world.submit(world.draft().session("s")).await;
        leaving.push(must(world.turn(&waiter, end.clone()).await));
    }
    assert_eq!(must(world.store.renew_lease(&node).await).due, Some(world.now().plus(S * 30)));
    world.clock.advance(S * 29);
    assert_eq!(must(world.store.claim_due(&node, 10).await), []);
    let one = ClaimCapacity { batch: 1, ..room(&node) };
    assert_eq!(ids(&must(world.store.claim(&node, &one).await)), ids(leaving.get(..1).unwrap_or_default()));
    world.clock.advance(S);
    // The claimed process is not handed out, because its owner handles it.
    assert_eq!(must(world.store.claim_due(&node, 10).await), leaving.get(1..).unwrap_or_default());
}

/// At most the requested number of due processes is handed out. The processes that have been due the longest come
/// first.
pub async fn the_longest_due_processes_are_handed_out_first(world: &StoreFixture) {
    let node = world.node("a").await;
    let mut due = Vec::new();
    for seconds in [3, 1, 2] {
        let at = world.now().plus(S * seconds);
        due.push((at, world.submit(world.draft().not_before(at)).await.process.id));
    }
    due.sort_unstable();
    let due: Vec<_> = due.into_iter().map(|(_, id)| id).collect();
    world.clock.advance(S * 10);
    let mut handed = ids(&must(world.store.claim_due(&node, 2).await));
    assert_eq!(handed.len(), 2);
    handed.extend(ids(&must(world.store.claim_due(&node, 2).await)));
    assert_eq!(handed, due);
}

/// A node with an old lease gets no due processes.
pub async fn an_old_lease_gets_no_due_processes(world: &StoreFixture) {
    let old = world.node("a").await;
    world.node("a").await;
    refused!(world.store.claim_due(&old, 10).await, StoreError::Fenced { .. });
}

/// Live records are never pruned, regardless of their age.
pub async fn a_prune_never_deletes_live_records(world: &StoreFixture) {
    let node = world.node("a").await;
    world.run(world.draft(), &node).await;
    world.submit(world.draft()).await;
    world.submit(world.draft().reported()).await;
    world.clock.advance(DAY * 1000);
    let rule = Retention { age: Some(Duration::ZERO), count: Some(0), before: None };
    let swept = must(world.store.prune(&rule, 100).await);
    assert_eq!((swept.ids, swept.more), (Vec::new(), false));
    assert_eq!(all(world).await.len(), 3);
}

/// Records that ended longer ago than the retention rule allows are pruned, oldest first, up to the requested number.
pub async fn a_prune_deletes_the_oldest_records_first(world: &StoreFixture) {
    let mut ended = Vec::new();
    for _ in 0..4 {
        let stored = world.submit(world.draft()).await;
        must(world.turn(&stored, cancel()).await);
        ended.push(stored.process.id);
        world.clock.advance(S * 10);
    }
    let rule = Retention { age: Some(S * 15), count: None, before: None };
    let first = must(world.store.prune(&rule, 2).await);
    assert_eq!(first.ids, ended.get(..2).unwrap_or_default());
    assert!(first.more);
    let second = must(world.store.prune(&rule, 2).await);
    assert_eq!(second.ids, ended.get(2..3).unwrap_or_default());
    assert!(!second.more);
    assert_eq!(must(world.store.prune(&rule, 2).await).ids, []);
    assert_eq!(all(world).await, ended.get(3..).unwrap_or_default());
    assert!(!world.exists(*ended.first().unwrap_or(&world.draft().id)).await);
}

/// A sequence number is never reused, even if the record with the highest number was pruned first.
pub async fn a_sequence_number_is_not_reused_after_a_prune(world: &StoreFixture) {
    let (older, newer) = (world.submit(world.draft()).await, world.submit(world.draft()).await);
    must(world.turn(&newer, cancel()).await);
    world.clock.advance(S);
    must(world.turn(&older, cancel()).await);
    world.clock.advance(S);
    let rule = Retention { age: Some(Duration::ZERO), count: None, before: None };
    let swept = must(world.store.prune(&rule, 10).await);
    assert_eq!(swept.ids, [newer.process.id, older.process.id]);
    assert!(world.submit(world.draft()).await.seq > newer.seq);
}

/// If there are more records than the rule allows, the surplus is pruned, but no record that ended less than a day ago.
pub async fn a_prune_by_count_keeps_the_records_of_the_last_day(world: &StoreFixture) {
    let mut ended = Vec::new();
    for _ in 0..3 {
        let stored = world.submit(world.draft()).await;
        must(world.turn(&stored, cancel()).await);
        ended.push(stored.process.id);
        world.clock.advance(S);
    }
    let rule = Retention { age: None, count: Some(1), before: None };
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, []);
    world.clock.advance(DAY);
    let swept = must(world.store.prune(&rule, 10).await);
    assert_eq!(swept.ids, ended.get(..2).unwrap_or_default());
}

/// Records that ended before a given time are pruned, regardless of their age.
pub async fn a_prune_up_to_a_time_keeps_records_that_ended_later(world: &StoreFixture) {
    let mut ended = Vec::new();
    for _ in 0..3 {
        let stored = world.submit(world.draft()).await;
        must(world.turn(&stored, cancel()).await);
        ended.push((world.now(), stored.process.id));
        world.clock.advance(S);
    }
    let moment = ended.get(1).map(|(at, _)| *at);
    let rule = Retention { age: None, count: None, before: moment };
    let gone: Vec<_> = ended.iter().take(1).map(|(_, id)| *id).collect();
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, gone);
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, []);
    assert_eq!(all(world).await.len(), 2);
}

/// Each call returns the total number of records that were ever pruned, even if the call itself prunes nothing.
pub async fn a_prune_returns_the_total_number_of_pruned_records(world: &StoreFixture) {
    for _ in 0..3 {
        let stored = world.submit(world.draft()).await;
        must(world.turn(&stored, cancel()).await);
        world.clock.advance(S);
    }
    let rule = Retention { age: Some(Duration::ZERO), count: None, before: None };
    let asked = must(world.store.prune(&rule, 0).await);
    assert_eq!((asked.ids, asked.more, asked.total), (Vec::new(), true, 0));
    assert_eq!(all(world).await.len(), 3);
    let mut totals = Vec::new();
    for limit in [2, 0, 2, 2, 0] {
        totals.push(must(world.store.prune(&rule, limit).await).total);
    }
    assert_eq!(totals, [2, 2, 3, 3, 3]);
}

/// A retention rule without limits prunes nothing.
pub async fn a_prune_without_limits_deletes_nothing(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    must(world.turn(&stored, cancel()).await);
    world.clock.advance(DAY * 1000);
    let rule = Retention { age: None, count: None, before: None };
    assert_eq!(must(world.store.prune(&rule, 10).await).ids, []);
}

async fn all(world: &StoreFixture) -> Vec<longhaul_domain::ProcessId> {
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 100 };
    ids(&must(world.store.list(&ProcessFilter::default(), &page).await).processes)
}
