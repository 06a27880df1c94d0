//! Rules about writes during which the connection to the store is cut: which errors are correct, and that the writes
//! can be repeated.

use super::world::{ConnectionCut, StoreFixture, room, spawned};
use crate::suite::{instead_of, must, some};
use longhaul_domain::PendingAction;
use longhaul_ports::{IdSource, StoreError, SubmitOutcome};
use std::fmt::Debug;

/// Generates one test for each rule about stores that are used over a connection.
///
/// Takes an async function from a [`VirtualClock`](crate::fakes::VirtualClock) to a
/// [`StoreFixture`](crate::suite::StoreFixture) around an empty store, [with a way to cut its
/// connection](crate::suite::StoreFixture::with_cut).
#[macro_export]
macro_rules! connected_store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            async $open, store,
            a_submit_over_a_cut_connection_is_applied_once
            a_commit_over_a_cut_connection_is_applied_once
            a_pending_action_over_a_cut_connection_is_stored_once
            a_claim_over_a_cut_connection_is_found_in_the_list
        }
    };
}

const CUTS: [ConnectionCut; 2] = [ConnectionCut::BeforeCommit, ConnectionCut::AfterCommit];

/// Result of a write whose connection was cut: the write was applied, was not applied, or its result is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutOutcome {
    Applied,
    NotApplied,
    InDoubt,
}

/// Interprets the answer to a write whose connection was cut. The error `Unavailable` promises that nothing was
/// applied.
fn outcome<T: Debug>(at: ConnectionCut, answer: &Result<T, StoreError>) -> CutOutcome {
    match (at, answer) {
        (_, Ok(_)) => CutOutcome::Applied,
        (_, Err(StoreError::Unknown { .. })) => CutOutcome::InDoubt,
        (ConnectionCut::BeforeCommit, Err(StoreError::Unavailable { .. })) => CutOutcome::NotApplied,
        (ConnectionCut::AfterCommit, Err(StoreError::Unavailable { .. })) => {
            instead_of("`Unknown` for a write that was applied", answer)
        }
        (_, Err(_)) => instead_of("`Unavailable` or `Unknown`", answer),
    }
}

/// A submission that is repeated after a cut creates the process only once.
pub async fn a_submit_over_a_cut_connection_is_applied_once(world: &StoreFixture) {
    for at in CUTS {
        let submission = world.submission(world.draft()).await;
        let id = submission.process.id;
        world.cut_next_write(at);
        let said = outcome(at, &world.store.submit(submission.clone()).await);
        if said != CutOutcome::InDoubt {
            assert_eq!(world.exists(id).await, said == CutOutcome::Applied, "{at:?}");
        }
        match must(world.store.submit(submission).await) {
            SubmitOutcome::Waiting(stored) => assert_eq!(stored.process.id, id),
            SubmitOutcome::Existing { id: known, same_spec, .. } => {
                assert_eq!((known, same_spec), (id, true))
            }
            other @ SubmitOutcome::Claimed(_) => instead_of("what waits", &other),
        }
        let events = must(world.store.read(None, 1000, false).await).events;
        assert_eq!(events.iter().filter(|logged| logged.id == id).count(), 1, "{at:?}");
    }
}

/// A commit that is repeated after a cut, with the same operation id, is applied only once.
pub async fn a_commit_over_a_cut_connection_is_applied_once(world: &StoreFixture) {
    let lease = world.node("a").await;
    for at in CUTS {
        let stored = world.start(world.draft(), &lease).await;
        let change = world.change(&stored, spawned(&stored));
        world.cut_next_write(at);
        let said = outcome(at, &world.store.commit(change.clone()).await);
        let found = world.load(stored.process.id).await.revision;
        match said {
            CutOutcome::Applied => assert_eq!(found, stored.revision.next(), "{at:?}"),
            CutOutcome::NotApplied => assert_eq!(found, stored.revision, "{at:?}"),
            CutOutcome::InDoubt => {}
        }
        assert_eq!(must(world.store.commit(change).await), stored.revision.next(), "{at:?}");
        assert_eq!(world.load(stored.process.id).await.revision, stored.revision.next(), "{at:?}");
    }
}

/// A pending action that is repeated after a cut, with the same operation id, is enqueued only once.
pub async fn a_pending_action_over_a_cut_connection_is_stored_once(world: &StoreFixture) {
    let lease = world.node("a").await;
    for at in CUTS {
        let running = world.run(world.draft(), &lease).await;
        let op = world.ids.op();
        world.cut_next_write(at);
        outcome(at, &world.store.enqueue_action(&running.process.id, op, PendingAction::Pause).await);
        let no = must(world.store.enqueue_action(&running.process.id, op, PendingAction::Pause).await);
        assert_eq!(
            world.load(running.process.id).await.pending_actions,
            [(no, PendingAction::Pause)],
            "{at:?}"
        );
    }
}

/// A claim has no operation id. After a cut, a node can find the processes that it claimed, because they have the node
/// as their owner. A second claim returns the remaining processes.
pub async fn a_claim_over_a_cut_connection_is_found_in_the_list(world: &StoreFixture) {
    let lease = world.node("a").await;
    for at in CUTS {
        let waiter = world.submit(world.draft()).await;
        world.cut_next_write(at);
        let said = outcome(at, &world.store.claim(&lease, &room(&lease)).await);
        let found = world.load(waiter.process.id).await;
        match said {
            CutOutcome::Applied => assert_eq!(found.owner.as_ref(), Some(&lease), "{at:?}"),
            CutOutcome::NotApplied => assert_eq!(found.owner, None, "{at:?}"),
            CutOutcome::InDoubt => {}
        }
        let claimed = must(world.store.claim(&lease, &room(&lease)).await);
        let owned = found.owner.is_some();
        assert_eq!(claimed.len(), usize::from(!owned), "{at:?}: it is claimed once");
        let claimed = world.load(waiter.process.id).await;
        assert_eq!(some(claimed.owner.as_ref()), &lease);
        assert_eq!(claimed.process.attempt.0, 1, "{at:?}");
    }
}
