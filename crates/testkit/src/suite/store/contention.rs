//! Rules about many concurrent writers.

use super::draft::SubmissionBuilder;
use super::world::{StoreFixture, exited, node_id, room, spawned};
use crate::fakes::VirtualClock;
use crate::suite::{must, some};
use longhaul_domain::{
    ActionSeq, Capabilities, DecisionContext, Input, OpId, Process, ProcessId, RandomBits, Revision, Status,
};
use longhaul_ports::{
    Change, ClaimCapacity, Clock, IdSource, Lease, NodeDescriptor, PageRequest, ProcessFilter, SortOrder,
    Store, StoreError, StoredProcess, Submission, SubmitLimits, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const TASKS: u64 = 16;
const CLAIMS_PER_NODE: u64 = 12;
const SLOTS: u32 = 3;

/// Sixteen tasks of two nodes submit, claim and commit concurrently. Every process is claimed once, no slot is assigned
/// twice, revision numbers have no gaps, and the event log agrees with the records.
pub async fn concurrent_writers_break_no_promise(world: &StoreFixture) {
    let (version, mut policy) = must(world.store.policy().await);
    for key in 0..4 {
        policy.slots.insert(format!("k{key}"), SLOTS);
    }
    must(world.store.set_policy(version, &policy).await);
    let nodes = [world.node("a").await, world.node("b").await];
    let handles = [Arc::clone(&world.store), world.another().await];
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let node = usize::from(task % 2 == 1);
        let (lease, store) = (some(nodes.get(node)).clone(), Arc::clone(some(handles.get(node))));
        let clock = world.clock.clone();
        tasks.push(tokio::spawn(async move { work(&*store, &clock, &lease, task).await }));
    }
    let mut claimed: Vec<ProcessId> = Vec::new();
    for task in tasks {
        claimed.extend(must(task.await));
    }
    // Claims the processes that are still in the queues when the tasks have finished.
    for lease in nodes.iter().cycle().take(400) {
        for stored in must(world.store.claim(lease, &room(lease)).await) {
            claimed.push(stored.process.id);
            finish(&*world.store, &world.clock, stored).await;
        }
    }
    let distinct: BTreeSet<_> = claimed.iter().copied().collect();
    let all = usize::try_from(TASKS * CLAIMS_PER_NODE).unwrap_or(0);
    assert_eq!((claimed.len(), distinct.len()), (all, all));
    check_log(world).await;
}

async fn work(store: &dyn Store, clock: &VirtualClock, lease: &Lease, task: u64) -> Vec<ProcessId> {
    let ids = crate::fakes::SequentialIds::seeded(1000 + task);
    let mut claimed = Vec::new();
    for turn in 0..CLAIMS_PER_NODE {
        let key = format!("k{}", ids.chance().0 % 4);
        must(
            store
                .submit(submission(store, clock, SubmissionBuilder::new(ids.process()).key(&key)).await)
                .await,
        );
        let two = ClaimCapacity { batch: 2, ..room(lease) };
        for stored in must(store.claim(lease, &two).await) {
            claimed.push(stored.process.id);
            assert_slots(store).await;
            finish(store, clock, stored).await;
        }
        if turn % 4 == 0 {
            tokio::task::yield_now().await;
        }
    }
    claimed
}

async fn submission(store: &dyn Store, clock: &VirtualClock, draft: SubmissionBuilder) -> Submission {
    let (policy, slots) = must(store.policy().await);
    let key = draft.spec.key.clone();
    let (process, events) = Process::submit(&context(clock), draft.id, draft.lineage, Arc::new(draft.spec));
    Submission {
        process,
        events,
        limits: SubmitLimits { policy, slots: key.and_then(|key| slots.slots_of(&key)), tree: draft.tree },
        claim_for: None,
        fail_if_queued: false,
    }
}

fn context(clock: &VirtualClock) -> DecisionContext {
    DecisionContext {
        now: clock.now(),
        awake: clock.awake(),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}

/// Makes a process run and exit. Each write is sent twice, as if the answer to the first write was lost.
async fn finish(store: &dyn Store, clock: &VirtualClock, stored: StoredProcess) {
    let running = turn(store, clock, &stored, spawned(&stored)).await;
    let input = exited(&running, clock.now(), 0);
    turn(store, clock, &running, input).await;
}

async fn turn(
    store: &dyn Store,
    clock: &VirtualClock,
    stored: &StoredProcess,
    input: Input,
) -> StoredProcess {
    let step = must(stored.process.decide(&context(clock), &stored.live_stats, &input));
    let mut next = stored.process.clone();
    next.evolve(&step.events);
    let bits = stored.process.id.as_uuid().as_u128() ^ u128::from(stored.revision.0);
    let change = Change {
        op: OpId::new(uuid::Uuid::from_u128(bits)),
        author: stored.owner.clone().map_or(Writer::Anyone, Writer::Owner),
        expected: stored.revision,
        next: next.clone(),
        events: step.events,
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    };
    let revision = must(store.commit(change.clone()).await);
    assert_eq!(must(store.commit(change).await), revision);
    StoredProcess { process: next, revision, ..stored.clone() }
}

async fn assert_slots(store: &dyn Store) {
    for queue in must(store.queues(None).await) {
        let taken = u32::try_from(queue.holders.len()).unwrap_or(u32::MAX);
        assert!(taken <= SLOTS, "{:?} has {taken} holders", queue.key);
    }
}

async fn check_log(world: &StoreFixture) {
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1000 };
    let records = must(world.store.list(&ProcessFilter::default(), &page).await).processes;
    let seqs: Vec<_> = records.iter().map(|stored| stored.seq).collect();
    assert!(seqs.windows(2).all(|pair| match pair {
        [before, after] => before < after,
        _ => false,
    }));
    let mut histories: BTreeMap<ProcessId, Vec<(Revision, u32, &'static str)>> = BTreeMap::new();
    for logged in must(world.store.read(None, 10_000, false).await).events {
        let fact = logged.event.fact.name();
        let history = histories.entry(logged.id).or_default();
        history.push((logged.revision, logged.index, fact));
    }
    for stored in records {
        assert_eq!(stored.process.status(), Status::Completed);
        assert_eq!(stored.owner, None);
        let history = some(histories.get(&stored.process.id));
        let facts: Vec<_> = history.iter().map(|(.., fact)| *fact).collect();
        assert_eq!(facts, ["submitted", "claimed", "spawned", "ended"]);
        assert!(history.windows(2).all(|pair| match pair {
            [before, after] => (before.0, before.1) < (after.0, after.1),
            _ => false,
        }));
        assert_eq!(some(history.last()).0, stored.revision);
    }
}

/// A node registers again while it writes. After the new registration, no write under the old lease succeeds.
pub async fn two_runs_of_a_node_never_both_write(world: &StoreFixture) {
    let old = world.node("a").await;
    let mut running = Vec::new();
    for _ in 0..20 {
        running.push(world.start(world.draft(), &old).await);
    }
    let writer = {
        let store = Arc::clone(&world.store);
        let changes: Vec<_> = running.iter().map(|stored| world.change(stored, spawned(stored))).collect();
        tokio::spawn(async move {
            let mut written = Vec::new();
            for change in changes {
                let id = change.next.id;
                match store.commit(change).await {
                    Ok(_) => written.push(id),
                    Err(StoreError::Fenced { .. }) => {}
                    Err(error) => must(Err(error)),
                }
                tokio::task::yield_now().await;
            }
            written
        })
    };
    let facts = NodeDescriptor { id: node_id("a"), home: None, boot: String::new(), version: String::new() };
    let new = must(world.another().await.register(&facts).await);
    let end = must(world.store.end().await);
    let written = must(writer.await);
    let late = must(world.store.read(Some(end), 1000, false).await);
    assert_eq!(late.events, [], "the old life wrote after it was replaced");
    for stored in running {
        let found = world.load(stored.process.id).await;
        assert_eq!(found.owner.as_ref(), Some(&new));
        let was_written = written.contains(&stored.process.id);
        assert_eq!(found.process.status() == Status::Running, was_written);
    }
    assert_eq!(new.node, node_id("a"));
}

/// Two nodes claim concurrently, each through its own handle. Every waiting process is claimed by exactly one of them.
pub async fn each_waiting_process_is_claimed_by_one_node(world: &StoreFixture) {
    let mut waiters = BTreeSet::new();
    for _ in 0..20 {
        waiters.insert(world.submit(world.draft()).await.process.id);
    }
    let nodes =
        [(world.node("a").await, Arc::clone(&world.store)), (world.node("b").await, world.another().await)];
    let tasks = nodes.map(|(lease, store)| {
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            for _ in 0..20 {
                let one = ClaimCapacity { batch: 1, ..room(&lease) };
                claimed.extend(
                    must(store.claim(&lease, &one).await).into_iter().map(|stored| stored.process.id),
                );
            }
            claimed
        })
    });
    let mut claimed = Vec::new();
    for task in tasks {
        claimed.extend(must(task.await));
    }
    claimed.sort();
    assert_eq!(claimed, waiters.into_iter().collect::<Vec<_>>());
}
