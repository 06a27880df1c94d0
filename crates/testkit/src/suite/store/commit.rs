//! Rules about commits.

use super::world::{StoreFixture, author, cancel, complete, everything, exited, node_id, spawned};
use crate::suite::{kept, must, refused};
use longhaul_domain::{Input, PendingAction, Revision, Status};
use longhaul_ports::{IdSource, Lease, StoreError, Writer};

/// A commit that expects an older revision writes nothing and returns the current revision.
pub async fn a_conflict_writes_nothing(world: &StoreFixture) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let late = world.change(&starting, cancel());
    let running = must(world.turn(&starting, spawned(&starting)).await);
    let end = must(world.store.end().await);
    refused!(
        world.store.commit(late).await,
        StoreError::Conflict { found } if *found == running.revision
    );
    assert_eq!(world.load(running.process.id).await, running);
    assert_eq!(must(world.store.end().await), end);
}

/// A commit that expects an older revision always returns a conflict, even if the owner of the process has changed in
/// the meantime.
pub async fn a_commit_on_an_old_revision_is_a_conflict_for_every_writer(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    let waiting = world.submit(world.draft()).await;
    let late = world.change(&waiting, cancel());
    assert_eq!(late.author, Writer::Anyone);
    let claimed = world.claim(&node).await;
    let found = claimed.first().map(|stored| stored.revision);
    for stranger in [Writer::Anyone, Writer::Owner(other)] {
        let mut late = late.clone();
        late.author = stranger;
        refused!(
            world.store.commit(late).await,
            StoreError::Conflict { found: revision } if Some(*revision) == found
        );
    }
    assert_eq!(world.load(waiting.process.id).await.revision, waiting.revision.next());
}

/// A repeated write gets the first answer again and changes nothing, even if other writes happened in between.
pub async fn a_repeated_operation_gets_the_same_answer(world: &StoreFixture) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let change = world.change(&starting, spawned(&starting));
    let revision = must(world.store.commit(change.clone()).await);
    assert_eq!(must(world.store.commit(change.clone()).await), revision);
    let running = world.load(starting.process.id).await;
    assert_eq!(running.revision, revision);
    let stopping = must(world.turn(&running, cancel()).await);
    let end = must(world.store.end().await);
    assert_eq!(must(world.store.commit(change).await), revision);
    assert_eq!(world.load(starting.process.id).await, stopping);
    assert_eq!(must(world.store.end().await), end);
}

/// The answer to a write is kept longer than the record: a write that is repeated after its record was pruned gets the
/// first answer again.
pub async fn an_answer_survives_the_pruning_of_its_record(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let op = world.ids.op();
    let no = must(world.store.enqueue_action(&stored.process.id, op, PendingAction::Pause).await);
    let mut change = world.change(&stored, cancel());
    change.taken = no;
    let revision = must(world.store.commit(change.clone()).await);
    assert_eq!(must(world.store.prune(&everything(), 10).await).ids, [stored.process.id]);
    let promise = "an answer outlives the record";
    assert_eq!(kept(promise, world.store.commit(change.clone()).await), revision);
    assert_eq!(
        kept(promise, world.store.enqueue_action(&stored.process.id, op, PendingAction::Pause).await),
        no
    );
    change.op = world.ids.op();
    refused!(world.store.commit(change).await, StoreError::Missing { .. });
}

/// Only the owner, under its newest lease, can write an owned process.
pub async fn only_the_owner_writes_an_owned_process(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    let running = world.run(world.draft(), &node).await;
    for stranger in [Writer::Anyone, Writer::Owner(other)] {
        let mut change = world.change(&running, cancel());
        change.author = stranger;
        refused!(world.store.commit(change).await, StoreError::Fenced { .. });
    }
    assert_eq!(world.load(running.process.id).await, running);
    must(world.turn(&running, cancel()).await);
}

/// A node that has registered more than once can write only under its newest lease.
pub async fn an_old_lease_writes_nothing(world: &StoreFixture) {
    let old = world.node("a").await;
    let running = world.run(world.draft(), &old).await;
    let late = world.change(&running, cancel());
    let new = world.node("a").await;
    refused!(
        world.store.commit(late).await,
        StoreError::Fenced { node, epoch } if *node == old.node && *epoch == old.epoch
    );
    let found = world.load(running.process.id).await;
    assert_eq!(found.owner, Some(new));
    assert_eq!(found.revision, running.revision);
    must(world.turn(&found, cancel()).await);
}

/// Any engine can write a process that has no owner.
pub async fn any_engine_writes_a_process_without_an_owner(world: &StoreFixture) {
    let node = world.node("a").await;
    let first = world.submit(world.draft()).await;
    assert_eq!(author(&first), Writer::Anyone);
    let ended = must(world.turn(&first, cancel()).await);
    assert_eq!(ended.process.status(), Status::Cancelled);
    let second = world.submit(world.draft().reported()).await;
    let mut change = world.change(&second, complete());
    change.author = Writer::Owner(node);
    kept("a node may write an ownerless process under its newest lease", world.store.commit(change).await);
}

/// A process without an owner cannot be written under an old lease or by a node that never registered.
pub async fn an_old_lease_writes_no_process_without_an_owner(world: &StoreFixture) {
    let old = world.node("a").await;
    let stored = world.submit(world.draft().reported()).await;
    let new = world.node("a").await;
    let ahead = Lease { epoch: new.epoch.next(), ..new.clone() };
    let unknown = Lease { node: node_id("never-joined"), epoch: old.epoch };
    let mut change = world.change(&stored, complete());
    for stranger in [old, ahead, unknown] {
        change.author = Writer::Owner(stranger.clone());
        refused!(
            world.store.commit(change.clone()).await,
            StoreError::Fenced { node, epoch } if *node == stranger.node && *epoch == stranger.epoch
        );
    }
    assert_eq!(world.load(stored.process.id).await, stored);
    change.author = Writer::Owner(new);
    kept("a node may write an ownerless process under its newest lease", world.store.commit(change).await);
}

/// A commit for an unknown process returns the error `Missing`.
pub async fn a_commit_for_an_unknown_process_is_refused(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let mut change = world.change(&stored, cancel());
    let missing = world.draft().id;
    change.next.id = missing;
    refused!(
        world.store.commit(change).await,
        StoreError::Missing { id } if *id == missing
    );
}

/// An ended process has no owner, but its record still names its node.
pub async fn an_ended_process_keeps_its_node(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let ended = world.exit(&running, 0).await;
    assert_eq!(ended.owner, None);
    assert_eq!(ended.process.node, Some(node.node));
    assert_eq!(ended.process.completed_at(), Some(world.now()));
}

/// The event log contains the events of a commit under its revision, numbered from 0. Each commit increases the
/// revision by one.
pub async fn events_are_numbered_by_revision_and_index(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let end = must(world.store.end().await);
    let force = Input::Action(longhaul_domain::Action::Force { cause: longhaul_domain::StopCause::User });
    let change = world.change(&running, force);
    let events = change.events.clone();
    assert!(events.len() > 1, "the rule needs a change with several events");
    let revision = must(world.store.commit(change).await);
    assert_eq!(revision, running.revision.next());
    let page = must(world.store.read(Some(end), 10, false).await);
    let found: Vec<_> = page
        .events
        .iter()
        .map(|logged| (logged.id, logged.revision, logged.index, logged.event.clone()))
        .collect();
    let expected: Vec<_> =
        (0_u32..).zip(events).map(|(index, event)| (running.process.id, revision, index, event)).collect();
    assert_eq!(found, expected);
}

/// A change without events still increases the revision.
pub async fn a_commit_without_events_increases_the_revision(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let end = must(world.store.end().await);
    let change = world.change(&stored, Input::Tick);
    assert_eq!(change.events, []);
    let revision = must(world.store.commit(change).await);
    assert_eq!(revision, stored.revision.next());
    assert_eq!(must(world.store.end().await), end);
}

/// If many commits with the same expected revision are sent concurrently, exactly one of them is written.
pub async fn one_of_many_concurrent_commits_is_written(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let handles = [world.store.clone(), world.another().await];
    let tasks: Vec<_> = (0..8)
        .flat_map(|_| handles.iter().cloned())
        .map(|store| {
            let change = world.change(&stored, cancel());
            tokio::spawn(async move { store.commit(change).await })
        })
        .collect();
    let mut won: Vec<Revision> = Vec::new();
    for task in tasks {
        match must(task.await) {
            Ok(revision) => won.push(revision),
            Err(error) => {
                assert!(matches!(error, StoreError::Conflict { .. }), "expected a conflict, found {error:?}")
            }
        }
    }
    assert_eq!(won, [stored.revision.next()]);
}

/// If an exit is observed twice, only the first observation ends the process.
pub async fn an_end_is_written_once(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let first = world.change(&running, exited(&running, world.now(), 0));
    let second = world.change(&running, exited(&running, world.now(), 1));
    must(world.store.commit(first).await);
    // The first commit also removed the owner. The second commit therefore has an old revision and a wrong writer.
    let answer = world.store.commit(second).await;
    refused!(answer, StoreError::Conflict { .. });
    let found = world.load(running.process.id).await;
    assert_eq!(found.process.status(), Status::Completed);
}
