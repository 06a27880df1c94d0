//! Rules about stores that are closed and reopened: data whose write was acknowledged is still present.

use super::world::{StoreFixture, everything, node_id, room, spawned};
use crate::suite::{must, refused};
use longhaul_domain::{PendingAction, Policy, PolicyVersion};
use longhaul_ports::{
    EventCursor, IdSource, LoggedEvent, NodeDescriptor, NodeHome, PageRequest, ProcessFilter, QueueState,
    SortOrder, StoreError, StoreRejection, StoredProcess, SubmitOutcome,
};

/// Generates one test for each rule about stores whose data survives a restart of the program.
///
/// Takes an async function from a [`VirtualClock`](crate::fakes::VirtualClock) to a
/// [`StoreFixture`](crate::suite::StoreFixture) around an empty store, [with a way to open it
/// again](crate::suite::StoreFixture::with_reopening).
#[macro_export]
macro_rules! durable_store_suite {
    ($open:expr $(,)?) => {
        $crate::durable_rules! {
            $open,
            acknowledged_writes_exist_after_reopening
            repeated_writes_get_their_first_answer_after_reopening
            epochs_and_state_directories_are_known_after_reopening
            a_pruned_id_is_known_after_reopening
        }
    };
}

/// Generates one test for each rule. A rule takes the fixture by value, because it closes the store.
#[doc(hidden)]
#[macro_export]
macro_rules! durable_rules {
    ($open:expr, $($rule:ident)+) => { $(
        #[test]
        fn $rule() {
            $crate::suite::hold(async {
                $crate::suite::store::$rule($crate::suite::store::open($open).await).await;
            });
        }
    )+ };
}

/// The complete visible state of a store.
#[derive(Debug, PartialEq)]
struct StoreSnapshot {
    records: Vec<StoredProcess>,
    queues: Vec<QueueState>,
    policy: (PolicyVersion, Policy),
    nodes: Vec<NodeDescriptor>,
    events: Vec<LoggedEvent>,
    end: EventCursor,
}

async fn picture(world: &StoreFixture) -> StoreSnapshot {
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1000 };
    let mut nodes = must(world.store.nodes().await);
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    StoreSnapshot {
        records: must(world.store.list(&ProcessFilter::default(), &page).await).processes,
        queues: must(world.store.queues(None).await),
        policy: must(world.store.policy().await),
        nodes,
        events: must(world.store.read(None, 1000, false).await).events,
        end: must(world.store.end().await),
    }
}

/// Records, queues, policy, nodes and events are unchanged after reopening, and all operations continue from there.
pub async fn acknowledged_writes_exist_after_reopening(world: StoreFixture) {
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("gpu".to_owned(), 1);
    must(world.store.set_policy(version, &policy).await);
    let lease = world.node("a").await;
    let running = world.run(world.draft().key("gpu"), &lease).await;
    let waiting = world.submit(world.draft().key("gpu")).await;
    must(world.store.enqueue_action(&running.process.id, world.ids.op(), PendingAction::Pause).await);
    let ended = world.run(world.draft(), &lease).await;
    world.exit(&ended, 3).await;
    let before = picture(&world).await;
    let world = world.reopened().await;
    assert_eq!(picture(&world).await, before);

    let again = world.node("a").await;
    let running = world.load(running.process.id).await;
    assert_eq!(running.owner.as_ref(), Some(&again), "it is the next life of its node");
    world.exit(&running, 0).await;
    assert_eq!(world.claim_ids(&again).await, [waiting.process.id]);
    let later = world.submit(world.draft()).await;
    assert!(before.records.iter().all(|stored| stored.seq < later.seq), "{later:?}");
    assert!(must(world.store.end().await) > before.end);
}

/// After reopening, a repeated write with the same process id or operation id gets its first answer again.
pub async fn repeated_writes_get_their_first_answer_after_reopening(world: StoreFixture) {
    let lease = world.node("a").await;
    let submission = world.submission(world.draft()).await;
    let id = submission.process.id;
    must(world.store.submit(submission.clone()).await);
    let claimed = must(world.store.claim(&lease, &room(&lease)).await);
    let change = claimed.first().map(|stored| world.change(stored, spawned(stored)));
    let change = crate::suite::some(change);
    let revision = must(world.store.commit(change.clone()).await);
    let op = world.ids.op();
    let no = must(world.store.enqueue_action(&id, op, PendingAction::Pause).await);
    let world = world.reopened().await;
    let existing = must(world.store.submit(submission).await);
    assert!(matches!(existing, SubmitOutcome::Existing { id: known, same_spec: true, .. } if known == id));
    assert_eq!(must(world.store.commit(change).await), revision);
    assert_eq!(must(world.store.enqueue_action(&id, op, PendingAction::Pause).await), no);
    assert_eq!(world.load(id).await.pending_actions.len(), 1);
}

/// After reopening, no epoch is issued a second time, and each node name still belongs to its state directory.
pub async fn epochs_and_state_directories_are_known_after_reopening(world: StoreFixture) {
    let facts = |home: &str| NodeDescriptor {
        id: node_id("a"),
        home: Some(NodeHome { id: home.to_owned(), place: format!("/{home}") }),
        boot: "a boot".to_owned(),
        version: "0.0.0".to_owned(),
    };
    let first = must(world.store.register(&facts("first")).await);
    world.run(world.draft(), &first).await;
    let world = world.reopened().await;
    refused!(
        world.store.register(&facts("second")).await,
        StoreError::Refused(StoreRejection::NameHeld { home, .. } | StoreRejection::NameTaken { home, .. })
            if home.place == "/first"
    );
    let again = must(world.store.register(&facts("first")).await);
    assert!(again.epoch > first.epoch, "{again:?} after {first:?}");
    refused!(world.store.renew_lease(&first).await, StoreError::Fenced { .. });
}

/// After reopening, a submission with the id of a pruned process still does not start a second process.
pub async fn a_pruned_id_is_known_after_reopening(world: StoreFixture) {
    let submission = world.submission(world.draft()).await;
    let id = submission.process.id;
    must(world.store.submit(submission.clone()).await);
    must(world.turn(&world.load(id).await, super::world::cancel()).await);
    assert_eq!(must(world.store.prune(&everything(), 10).await).ids, [id]);
    let total = must(world.store.prune(&everything(), 0).await).total;
    let world = world.reopened().await;
    assert!(!world.exists(id).await);
    let again = must(world.store.submit(submission).await);
    assert_eq!(again, SubmitOutcome::Existing { id, stored: None, same_spec: true });
    assert_eq!(must(world.store.prune(&everything(), 0).await).total, total);
}
