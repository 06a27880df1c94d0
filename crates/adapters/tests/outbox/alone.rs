//! Tests of local-only launches: launches that a node accepts while the shared store is unreachable.

use super::remote::Mood;
use super::*;
use std::time::Duration;

/// Returns a node that accepts local-only launches. The node has made a claim with this number of root slots.
async fn lonely(roots: u32) -> (Node, OutboxStore, Lease) {
    lonely_with(roots, OutboxOptions::at("here")).await
}

async fn lonely_with(roots: u32, options: OutboxOptions) -> (Node, OutboxStore, Lease) {
    let node = Node::new();
    let inner = Arc::new(node.remote.clone());
    let options = OutboxOptions { accepts_local_only: true, ..options };
    let store = OutboxStore::open(inner, &node.path(), Arc::new(node.clock.clone()), options).await.unwrap();
    let lease = store.register(&facts("me")).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    store.claim(&lease, &ClaimCapacity { roots, batch: 1, classes: Vec::new() }).await.unwrap();
    (node, store, lease)
}

async fn accepted(node: &Node, store: &OutboxStore) -> ProcessId {
    let launch = node.launch();
    let id = launch.process.id;
    let SubmitOutcome::Claimed(stored) = store.submit(launch).await.unwrap() else { unreachable!() };
    assert_eq!((stored.process.id, stored.process.status()), (id, Status::Starting));
    id
}

#[tokio::test]
async fn local_only_launch_is_written_to_the_store_in_its_current_state() {
    let (node, store, lease) = lonely(2).await;
    node.remote.is(Mood::Away);
    let [ended, runs] = [accepted(&node, &store).await, accepted(&node, &store).await];
    for id in [ended, runs] {
        assert!(store.is_local_only(&id));
        node.write(&store, &lease, id, spawned()).await;
    }
    end(&node, &store, &lease, ended).await;
    let stands = store.load(&[ended, runs]).await.unwrap();
    let statuses: Vec<Status> = stands.iter().flatten().map(|stored| stored.process.status()).collect();
    assert_eq!(statuses, [Status::Completed, Status::Running]);
    assert_eq!(store.list_cached(&ProcessFilter::default(), &page()).await.unwrap().processes.len(), 2);
    let below = ProcessFilter { ancestor: Some(runs), ..ProcessFilter::default() };
    assert_eq!(store.list(&below, &page()).await.unwrap().processes, []);

    node.remote.is(Mood::Here);
    let reconciled = store.reconcile(&lease).await.unwrap();
    assert_eq!(reconciled, ReconcileResult { went_back: false, restored_records: vec![ended, runs] });
    for before in stands.into_iter().flatten() {
        let after = there(&node.remote, before.process.id).await.unwrap();
        assert_eq!(after.process, before.process);
        assert!(!store.is_local_only(&before.process.id));
    }
    end(&node, &store, &lease, runs).await;
    assert_eq!(there(&node.remote, runs).await.unwrap().process.status(), Status::Completed);
    assert_eq!(store.reconcile(&lease).await.unwrap(), ReconcileResult::default(), "giving ends");
}

#[tokio::test]
async fn launch_that_affects_other_nodes_is_refused_while_the_store_is_unreachable() {
    let (node, store, lease) = lonely(1).await;
    let parent = node.launch();
    let above = parent.process.lineage.child_of(parent.process.id);
    node.remote.is(Mood::Away);
    type Change = fn(&mut Spec);
    let changes: [(&str, Change); 6] = [
        ("a limit", |spec| spec.key = Some(SlotKey::new("gpu").unwrap())),
        ("an earlier launch", |spec| spec.launch_key = Some(LaunchKey::new("once").unwrap())),
        ("any node", |spec| spec.placement = Placement::Anywhere),
        ("another node", |spec| spec.placement = Placement::Node(name("other"))),
        ("another attempt elsewhere", |spec| (spec.retry.retries, spec.retry.after_interruption) = (1, true)),
        ("another moment", |spec| spec.not_before = Some(Timestamp(i64::MAX))),
    ];
    for (what, change) in changes {
        let launch = node.launch_as(change);
        let id = launch.process.id;
        assert!(matches!(store.submit(launch).await, Err(StoreError::Unavailable { .. })), "{what}");
        assert_eq!(recalled(&store, id).await, None, "{what}");
    }
    let mut child = node.launch();
    child.process.lineage = above;
    assert!(matches!(store.submit(child).await, Err(StoreError::Unavailable { .. })), "a tree");
    accepted(&node, &store).await;
    let second = store.submit(node.launch()).await;
    assert!(matches!(second, Err(StoreError::Unavailable { .. })), "there is only one slot: {second:?}");

    node.remote.is(Mood::Here);
    store.reconcile(&lease).await.unwrap();
    store.drain(&name("me"), true).await.unwrap();
    node.remote.is(Mood::Away);
    let drained = store.submit(node.launch()).await;
    assert!(matches!(drained, Err(StoreError::Unavailable { .. })), "the node is draining: {drained:?}");
}

#[tokio::test]
async fn node_without_the_setting_accepts_no_local_only_launch() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    store.claim(&lease, &ClaimCapacity { roots: 9, batch: 1, classes: Vec::new() }).await.unwrap();
    node.remote.is(Mood::Away);
    assert!(matches!(store.submit(node.launch()).await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn launch_without_an_answer_is_never_accepted_as_local_only() {
    let (node, store, _) = lonely(2).await;
    let launch = node.launch();
    node.remote.is(Mood::Mute);
    assert!(matches!(store.submit(launch.clone()).await, Err(StoreError::Unknown { .. })));
    node.remote.is(Mood::Away);
    assert!(matches!(store.submit(launch).await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn next_manager_restores_the_local_only_launches_of_the_previous_manager() {
    let (node, store, lease) = lonely(1).await;
    node.remote.is(Mood::Away);
    let id = accepted(&node, &store).await;
    node.write(&store, &lease, id, spawned()).await;
    drop(store);
    node.remote.is(Mood::Here);
    let (store, lease) = node.join().await;
    let stands = there(&node.remote, id).await.unwrap();
    assert_eq!((stands.process.status(), stands.owner), (Status::Running, Some(lease)));
    drop(store);
}

#[tokio::test]
async fn changes_after_an_unanswered_restore_are_not_lost() {
    let (node, store, lease) = lonely(1).await;
    node.remote.is(Mood::Away);
    let id = accepted(&node, &store).await;
    node.remote.is(Mood::Deaf);
    store.reconcile(&lease).await.unwrap_err();
    node.remote.is(Mood::Away);
    let taken = node.remote.memory.load(&[id]).await.unwrap().remove(0).unwrap();
    assert_eq!(taken.process.status(), Status::Starting);
    assert!(store.is_local_only(&id), "the store has not confirmed the restore");
    node.write(&store, &lease, id, spawned()).await;
    end(&node, &store, &lease, id).await;
    node.remote.is(Mood::Here);
    store.reconcile(&lease).await.unwrap();
    assert_eq!(there(&node.remote, id).await.unwrap().process.status(), Status::Completed);
    assert!(!store.is_local_only(&id));
}

#[tokio::test]
async fn unanswered_restore_without_later_changes_keeps_the_record_of_the_store() {
    let (node, store, lease) = lonely(1).await;
    node.remote.is(Mood::Away);
    let id = accepted(&node, &store).await;
    node.remote.is(Mood::Deaf);
    store.reconcile(&lease).await.unwrap_err();
    node.remote.is(Mood::Here);
    store.reconcile(&lease).await.unwrap();
    assert!(!store.is_local_only(&id));
    node.write(&store, &lease, id, spawned()).await;
    assert_eq!(there(&node.remote, id).await.unwrap().process.status(), Status::Running);
}

#[tokio::test]
async fn end_of_a_local_only_process_is_kept_until_the_store_has_it() {
    let options = OutboxOptions { keeps_ended: Duration::ZERO, ..OutboxOptions::at("here") };
    let (node, store, lease) = lonely_with(1, options).await;
    node.remote.is(Mood::Away);
    let id = accepted(&node, &store).await;
    end(&node, &store, &lease, id).await;
    node.clock.advance(Duration::from_secs(3_600));
    node.remote.is(Mood::Here);
    let lease = store.register(&facts("me")).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    assert_eq!(there(&node.remote, id).await.unwrap().process.status(), Status::Completed);
    assert_eq!(recalled(&store, id).await, None, "the store outlives the loss of its server");
}

#[tokio::test]
async fn change_on_an_old_revision_is_a_conflict_without_the_store_too() {
    let (node, store, lease) = lonely(1).await;
    node.remote.is(Mood::Away);
    let id = accepted(&node, &store).await;
    let old = store.load(&[id]).await.unwrap().remove(0).unwrap();
    node.write(&store, &lease, id, spawned()).await;
    let change = Change {
        op: node.ids.op(),
        author: Writer::Owner(lease),
        expected: old.revision,
        next: old.process,
        events: Vec::new(),
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    };
    let refused = store.commit(change).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { found }) if found == old.revision.next()),
        "{refused:?}"
    );
}

#[tokio::test]
async fn local_only_process_counts_against_the_limit_before_the_store_knows_it() {
    let (node, store, lease) = lonely(1).await;
    node.remote.is(Mood::Away);
    let id = accepted(&node, &store).await;
    node.remote.is(Mood::Here);
    let mut waits = node.launch_for(Some(&lease));
    waits.claim_for.as_mut().unwrap().roots = 1;
    let SubmitOutcome::Waiting(_) = store.submit(waits).await.unwrap() else { unreachable!() };
    let room = ClaimCapacity { roots: 1, batch: 9, classes: vec![PlacementClass::Node(name("me"))] };
    assert_eq!(store.claim(&lease, &room).await.unwrap(), [], "the slot is taken");
    store.reconcile(&lease).await.unwrap();
    assert_eq!(store.claim(&lease, &room).await.unwrap(), [], "the store now counts the process");
    end(&node, &store, &lease, id).await;
    assert_eq!(store.claim(&lease, &room).await.unwrap().len(), 1);
}
