//! Tests of the records in an outbox: which records are stored, for how long, and which are shown during an outage.

use super::remote::Mood;
use super::*;
use std::time::Duration;

#[tokio::test]
async fn processes_of_this_node_are_shown_while_the_store_is_unreachable() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let runs = node.launch_for(Some(&lease));
    let waits = node.launch();
    let (runs_id, waits_id) = (runs.process.id, waits.process.id);
    store.submit(runs).await.unwrap();
    node.write(&store, &lease, runs_id, spawned()).await;
    store.submit(waits).await.unwrap();
    assert_eq!(store.away_since(), None);
    let heard_at = node.clock.now();
    node.clock.advance(Duration::from_secs(3));
    node.remote.is(Mood::Away);
    assert!(
        matches!(store.load(&[runs_id]).await, Err(StoreError::Unavailable { .. })),
        "no read returns outbox records"
    );
    assert_eq!(store.away_since(), Some(heard_at), "since the last answer");
    let shown = recalled(&store, runs_id).await.unwrap();
    assert_eq!((shown.process.status(), shown.revision), (Status::Running, Revision(3)));
    assert_eq!(shown.owner, Some(lease));
    node.remote.is(Mood::Here);
    assert_eq!(Some(shown), there(&node.remote, runs_id).await, "the record equals that of the store");
    node.remote.is(Mood::Away);
    let listed = |filter: ProcessFilter, order| {
        let page = PageRequest { order, after: None, limit: 1 };
        let store = &store;
        async move {
            let mut found = Vec::new();
            let mut page = page;
            loop {
                let listing = store.list_cached(&filter, &page).await.unwrap();
                found.extend(listing.processes.iter().map(|stored| stored.process.id));
                let Some(next) = listing.next else { return found };
                page.after = Some(next);
            }
        }
    };
    assert_eq!(listed(ProcessFilter::default(), SortOrder::NewestFirst).await, [waits_id, runs_id]);
    assert_eq!(listed(ProcessFilter::default(), SortOrder::OldestFirst).await, [runs_id, waits_id]);
    let waiting = ProcessFilter { statuses: vec![Status::Pending], ..ProcessFilter::default() };
    assert_eq!(listed(waiting, SortOrder::NewestFirst).await, [waits_id]);
    node.remote.is(Mood::Here);
    store.load(&[runs_id]).await.unwrap();
    assert_eq!(store.away_since(), None);
}

#[tokio::test]
async fn processes_of_other_nodes_are_not_stored_in_the_outbox() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let other = node.remote.register(&facts("other")).await.unwrap();
    let mut theirs = node.launch();
    let spec = Arc::make_mut(&mut theirs.process.spec);
    spec.placement = Placement::Node(name("other"));
    theirs.claim_for = Some(ClaimRequest { lease: other.clone(), roots: 10 });
    let id = theirs.process.id;
    node.remote.submit(theirs).await.unwrap();
    assert!(store.load(&[id]).await.unwrap().remove(0).is_some());
    assert_eq!(recalled(&store, id).await, None);

    // The record of a launch that may run anywhere is stored until another node claims the process.
    let mut shared = node.launch();
    Arc::make_mut(&mut shared.process.spec).placement = Placement::Anywhere;
    let id = shared.process.id;
    store.submit(shared).await.unwrap();
    assert!(recalled(&store, id).await.is_some());
    let anywhere =
        ClaimCapacity { roots: 10, batch: 10, classes: vec![PlacementClass::Shared(Placement::Anywhere)] };
    assert_eq!(node.remote.claim(&other, &anywhere).await.unwrap().len(), 1);
    store.load(&[id]).await.unwrap();
    assert_eq!(recalled(&store, id).await, None);
    store.reconcile(&lease).await.unwrap();
    assert_eq!(
        there(&node.remote, id).await.unwrap().revision,
        Revision(2),
        "the process is not restored either"
    );
}

#[tokio::test]
async fn a_refused_launch_is_removed_from_the_outbox() {
    let node = Node::new();
    let (store, _lease) = node.join().await;
    let mut refused = node.launch();
    refused.fail_if_queued = true;
    let id = refused.process.id;
    assert!(matches!(store.submit(refused).await, Err(StoreError::Refused(_))));
    assert_eq!(recalled(&store, id).await, None);
    drop(store);
    node.remote.memory.lose_everything();
    let (_store, _lease) = node.join().await;
    assert_eq!(there(&node.remote, id).await, None);
}

#[tokio::test]
async fn ended_processes_are_removed_after_ten_minutes() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let launch = node.launch_for(Some(&lease));
    let id = launch.process.id;
    store.submit(launch).await.unwrap();
    end(&node, &store, &lease, id).await;
    assert!(recalled(&store, id).await.unwrap().process.status().is_ended());
    node.clock.advance(Duration::from_secs(599));
    let lease = store.register(&facts("me")).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    assert!(recalled(&store, id).await.is_some());
    node.clock.advance(Duration::from_secs(1));
    let lease = store.register(&facts("me")).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    assert_eq!(recalled(&store, id).await, None);
    node.remote.memory.lose_everything();
    let lease = store.register(&facts("me")).await.unwrap();
    assert_eq!(store.reconcile(&lease).await.unwrap().restored_records, []);
}

#[tokio::test]
async fn only_the_newest_ended_processes_are_kept() {
    let node = Node::new();
    let options = OutboxOptions { max_ended: 2, ..OutboxOptions::at("here") };
    let clock = Arc::new(node.clock.clone());
    let store = OutboxStore::open(Arc::new(node.remote.clone()), &node.path(), clock, options).await.unwrap();
    let lease = store.register(&facts("me")).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let launch = node.launch_for(Some(&lease));
        let id = launch.process.id;
        store.submit(launch).await.unwrap();
        end(&node, &store, &lease, id).await;
        ids.push(id);
        node.clock.advance(Duration::from_millis(10));
    }
    let kept: Vec<bool> = store.load_cached(&ids).await.iter().map(Option::is_some).collect();
    assert_eq!(kept, [false, false, true, true]);
}

#[tokio::test]
async fn pruned_processes_are_removed_from_the_outbox() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let [here, elsewhere] = [node.launch_for(Some(&lease)), node.launch_for(Some(&lease))];
    let ids = [here.process.id, elsewhere.process.id];
    for launch in [here, elsewhere] {
        let id = launch.process.id;
        store.submit(launch).await.unwrap();
        end(&node, &store, &lease, id).await;
    }
    let everything = Retention { age: Some(Duration::ZERO), count: None, before: None };
    node.clock.advance(Duration::from_millis(5));
    assert_eq!(store.prune(&everything, 1).await.unwrap().ids, [ids[0]]);
    assert_eq!(node.remote.prune(&everything, 1).await.unwrap().ids, [ids[1]]);
    assert_eq!(recalled(&store, ids[0]).await, None);
    assert!(recalled(&store, ids[1]).await.is_some(), "the store has not reported the change yet");
    store.reconcile(&lease).await.unwrap();
    assert_eq!(recalled(&store, ids[1]).await, None);
    assert_eq!(there(&node.remote, ids[1]).await, None, "a pruned process is not restored");
}

/// Measures the time to store a launch in the outbox, and prints it. The test does not fail if the time is long.
#[tokio::test]
#[ignore = "it measures"]
async fn measure_the_cost_of_storing_a_launch() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let mut took = Vec::new();
    for _ in 0..500 {
        let launch = node.launch_for(Some(&lease));
        let id = launch.process.id;
        let begun = std::time::Instant::now();
        store.submit(launch).await.unwrap();
        took.push(begun.elapsed());
        end(&node, &store, &lease, id).await;
    }
    took.sort_unstable();
    let begun = std::time::Instant::now();
    let listed =
        store.list_cached(&ProcessFilter::default(), &PageRequest { limit: 50, ..page() }).await.unwrap();
    assert_eq!(listed.processes.len(), 50);
    eprintln!("median {:?}, 95 in 100 {:?}; a page of 500 {:?}", took[250], took[475], begun.elapsed());
}
