//! Tests of restoring records that the shared store has lost.

use super::remote::Mood;
use super::*;
use std::time::Duration;

#[tokio::test]
async fn records_of_this_node_are_restored_to_an_emptied_store() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let launches = [node.launch_for(Some(&lease)), node.launch_for(Some(&lease)), node.launch()];
    let [ended, runs, waits] = launches.each_ref().map(|launch| launch.process.id);
    for launch in launches {
        store.submit(launch).await.unwrap();
    }
    end(&node, &store, &lease, ended).await;
    node.write(&store, &lease, runs, spawned()).await;
    let policy = Policy { default_slots: 7, ..Policy::default() };
    let version = store.set_policy(PolicyVersion(0), &policy).await.unwrap();
    store.drain(&name("me"), true).await.unwrap();
    store.renew_lease(&lease).await.unwrap();
    let before = store.load(&[ended, runs, waits]).await.unwrap();
    let end_before = store.end().await.unwrap();

    node.remote.memory.lose_everything();
    let lease = store.register(&facts("me")).await.unwrap();
    let reconciled = store.reconcile(&lease).await.unwrap();
    assert!(reconciled.went_back);
    assert_eq!(reconciled.restored_records, [ended, runs, waits], "ended, live and waiting processes");
    let after = store.load(&[ended, runs, waits]).await.unwrap();
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
        assert_eq!(after.process, before.process);
        assert_eq!(after.revision, before.revision.next());
        assert_eq!(after.seq, before.seq);
    }
    let owner = after[1].as_ref().unwrap().owner.as_ref();
    assert_eq!(owner, Some(&lease), "running processes belong to the newest lease");
    assert!(store.end().await.unwrap() > end_before, "cursors never go back");
    assert_eq!(store.policy().await.unwrap(), (version, policy));
    assert!(store.list_nodes().await.unwrap()[0].draining);

    let again = store.reconcile(&lease).await.unwrap();
    assert_eq!(again, ReconcileResult::default(), "the restore ends");
    let mut fresh = node.launch();
    fresh.limits.policy = version;
    let id = fresh.process.id;
    store.submit(fresh).await.unwrap();
    assert!(there(&node.remote, id).await.unwrap().seq > before[2].as_ref().unwrap().seq);
}

#[tokio::test]
async fn older_records_in_a_dump_are_replaced_by_the_latest_records() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let launches = [node.launch_for(Some(&lease)), node.launch_for(Some(&lease))];
    let [ended, late] = launches.each_ref().map(|launch| launch.process.id);
    let [first, second] = launches;
    store.submit(first).await.unwrap();
    node.write(&store, &lease, ended, spawned()).await;
    let dump = node.remote.memory.snapshot();
    end(&node, &store, &lease, ended).await;
    store.submit(second).await.unwrap();
    let before = store.load(&[ended, late]).await.unwrap();

    node.remote.memory.go_back(&dump);
    let reported = store.load(&[ended]).await.unwrap().remove(0).unwrap();
    assert_eq!(reported.process.status(), Status::Running, "the outbox has the record of the store");
    let lease = store.register(&facts("me")).await.unwrap();
    let reconciled = store.reconcile(&lease).await.unwrap();
    assert!(reconciled.went_back);
    assert_eq!(reconciled.restored_records, [ended, late]);
    let after = store.load(&[ended, late]).await.unwrap();
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
        assert_eq!(after.process, before.process);
    }
    assert_eq!(store.reconcile(&lease).await.unwrap(), ReconcileResult::default());
}

#[tokio::test]
async fn the_next_manager_of_a_node_restores_the_records_in_its_outbox() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let [runs, waits] = [node.launch_for(Some(&lease)), node.launch()];
    let ids = [runs.process.id, waits.process.id];
    store.submit(runs).await.unwrap();
    node.write(&store, &lease, ids[0], spawned()).await;
    store.submit(waits).await.unwrap();
    drop(store);
    node.remote.memory.lose_everything();
    let store = node.open().await;
    let lease = store.register(&facts("me")).await.unwrap();
    let reconciled = store.reconcile(&lease).await.unwrap();
    assert_eq!((reconciled.went_back, reconciled.restored_records), (true, ids.to_vec()));
    let runs = there(&node.remote, ids[0]).await.unwrap();
    assert_eq!((runs.process.status(), runs.owner), (Status::Running, Some(lease)));
}

#[tokio::test]
async fn a_launch_without_an_answer_is_resolved_by_the_record_in_the_store() {
    for (mood, is_there) in [(Mood::Mute, true), (Mood::Away, false)] {
        let node = Node::new();
        let (store, lease) = node.join().await;
        let launch = node.launch();
        let id = launch.process.id;
        node.remote.is(mood);
        store.submit(launch).await.unwrap_err();
        node.remote.is(Mood::Here);
        assert_eq!(store.reconcile(&lease).await.unwrap(), ReconcileResult::default());
        assert_eq!(there(&node.remote, id).await.is_some(), is_there);
        assert_eq!(recalled(&store, id).await.is_some(), is_there);
    }
}

#[tokio::test]
async fn an_unconfirmed_launch_stays_unconfirmed_while_the_store_is_unreachable() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let launch = node.launch();
    let id = launch.process.id;
    node.remote.is(Mood::Mute);
    assert!(matches!(store.submit(launch.clone()).await, Err(StoreError::Unknown { .. })));
    node.remote.is(Mood::Away);
    assert!(matches!(store.submit(launch).await, Err(StoreError::Unavailable { .. })));
    node.remote.is(Mood::Here);
    node.remote.memory.lose_everything();
    let reconciled = store.reconcile(&store.register(&facts("me")).await.unwrap()).await.unwrap();
    assert_eq!(reconciled.restored_records, [id], "the store had the launch and may have acknowledged it");
    drop(lease);
}

#[tokio::test]
async fn a_launch_that_was_dropped_half_way_is_in_doubt() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let launch = node.launch();
    let id = launch.process.id;
    node.remote.is(Mood::Stuck);
    let given_up = tokio::time::timeout(Duration::from_millis(50), store.submit(launch)).await;
    assert!(given_up.is_err());
    node.remote.is(Mood::Here);
    assert!(there(&node.remote, id).await.is_some());
    store.reconcile(&lease).await.unwrap();
    assert!(recalled(&store, id).await.is_some());
    assert_eq!(store.list_cached(&ProcessFilter::default(), &page()).await.unwrap().processes.len(), 1);
}

#[tokio::test]
async fn two_nodes_give_back_the_same_without_end() {
    let node = Node::new();
    let (here, _) = node.join().await;
    let theirs = node.directory.path().join("theirs.sqlite");
    let there_store = node.open_at(&theirs, "here").await.unwrap();
    let other = there_store.register(&facts("other")).await.unwrap();
    let mut shared = node.launch();
    Arc::make_mut(&mut shared.process.spec).placement = Placement::Anywhere;
    let id = shared.process.id;
    here.submit(shared).await.unwrap();
    let anywhere =
        ClaimCapacity { roots: 10, batch: 10, classes: vec![PlacementClass::Shared(Placement::Anywhere)] };
    assert_eq!(there_store.claim(&other, &anywhere).await.unwrap().len(), 1);
    node.write(&there_store, &other, id, spawned()).await;

    node.remote.memory.lose_everything();
    let mine = here.register(&facts("me")).await.unwrap();
    let other = there_store.register(&facts("other")).await.unwrap();
    assert_eq!(here.reconcile(&mine).await.unwrap().restored_records, [id], "the process waits as before");
    assert_eq!(
        there_store.reconcile(&other).await.unwrap().restored_records,
        [id],
        "the process runs as before"
    );
    for _ in 0..3 {
        assert_eq!(here.reconcile(&mine).await.unwrap().restored_records, []);
        assert_eq!(there_store.reconcile(&other).await.unwrap().restored_records, []);
    }
    let stands = there(&node.remote, id).await.unwrap();
    assert_eq!((stands.process.status(), stands.owner), (Status::Running, Some(other)));
}

#[tokio::test]
async fn a_loss_detected_by_one_node_is_seen_by_every_other_node() {
    let node = Node::new();
    let (here, mine) = node.join().await;
    let theirs = node.directory.path().join("theirs.sqlite");
    let beyond = node.open_at(&theirs, "here").await.unwrap();
    let other = beyond.register(&facts("other")).await.unwrap();
    beyond.reconcile(&other).await.unwrap();
    let dump = node.remote.memory.snapshot();
    here.submit(node.launch_for(Some(&mine))).await.unwrap();
    let before = beyond.renew_lease(&other).await.unwrap().history.unwrap();
    here.renew_lease(&mine).await.unwrap();

    node.remote.memory.go_back(&dump);
    assert!(here.reconcile(&mine).await.unwrap().went_back);
    let after = beyond.renew_lease(&other).await.unwrap().history.unwrap();
    assert!(after.end >= before.end, "the cursor alone does not show the loss");
    assert!(!after.continues(&before));
    assert!(beyond.reconcile(&other).await.unwrap().went_back);
    for _ in 0..2 {
        assert_eq!(here.reconcile(&mine).await.unwrap(), ReconcileResult::default(), "that ends");
        assert_eq!(beyond.reconcile(&other).await.unwrap(), ReconcileResult::default());
    }
}

#[tokio::test]
async fn the_latest_drain_state_is_restored() {
    let node = Node::new();
    let (store, mut lease) = node.join().await;
    for drains in [true, false, true] {
        node.remote.memory.drain(&name("me"), drains).await.unwrap();
        store.renew_lease(&lease).await.unwrap();
        store.list_nodes().await.unwrap();
        node.remote.memory.lose_everything();
        lease = store.register(&facts("me")).await.unwrap();
        let is_draining = async || store.list_nodes().await.unwrap()[0].draining;
        assert!(!is_draining().await, "an emptied store does not report the loss");
        store.reconcile(&lease).await.unwrap();
        assert_eq!(is_draining().await, drains);
    }
}
