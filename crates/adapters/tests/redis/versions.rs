//! Tests with nodes of two versions on one namespace, as during an upgrade in which one node after the other is
//! replaced.

use crate::server::Server;
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::{Capability, PendingAction, Placement};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use longhaul_wire::record;
use std::sync::Arc;

/// Returns a node of this version, and a node whose specs use a field that only the next version supports.
async fn two_versions(server: &Server) -> (StoreFixture, StoreFixture) {
    let newer = RedisOptions { record_format: record::FORMAT + 1, ..server.options() };
    (world(server.options()).await, world(newer).await)
}

async fn world(options: RedisOptions) -> StoreFixture {
    StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_node_leaves_a_process_with_a_newer_spec_to_newer_nodes() {
    let server = Server::start();
    let (older, newer) = two_versions(&server).await;
    let (old_node, new_node) = (older.node("old").await, newer.node("new").await);
    let readable = newer.submission(newer.draft()).await;
    older.store.submit(readable.clone()).await.unwrap();
    let unreadable = newer.submit(newer.draft().priority(50)).await;

    let claimed = older.claim(&old_node).await;
    assert_eq!(claimed.len(), 1, "the newer specification is first in the queue and blocks no other process");
    assert_eq!(claimed[0].process.id, readable.process.id);
    assert_eq!(newer.claim(&new_node).await[0].process.id, unreadable.process.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_node_leaves_a_newer_specification_that_is_pinned_to_it_until_it_is_upgraded() {
    let server = Server::start();
    let (older, newer) = two_versions(&server).await;
    let old_node = older.node("old").await;
    let pinned = newer.draft().placed(Placement::Node(old_node.node.clone()));
    let pinned = newer.submit(pinned).await;
    assert_eq!(older.claim(&old_node).await, []);

    let upgraded = newer.node("old").await;
    assert_eq!(newer.claim(&upgraded).await[0].process.id, pinned.process.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_a_newer_specification_are_offered_to_those_who_ask_for_classes() {
    let server = Server::start();
    let (_, newer) = two_versions(&server).await;
    let node = newer.node("new").await;
    let labels = vec![Capability::new("gpu").unwrap()];
    let placed = newer.submit(newer.draft().placed(Placement::Labels(labels))).await;

    let classes = newer.store.label_classes().await.unwrap();
    let room = ClaimCapacity { roots: 9, batch: 9, classes };
    let claimed = newer.store.claim(&node, &room).await.unwrap();
    assert_eq!(claimed[0].process.id, placed.process.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_record_is_reported_as_newer_and_hides_no_other_record() {
    let server = Server::start();
    let (older, newer) = two_versions(&server).await;
    let old_node = older.node("old").await;
    let readable = newer.submission(newer.draft()).await;
    older.store.submit(readable.clone()).await.unwrap();
    let unreadable = newer.submit(newer.draft()).await.process.id;

    let found = older.store.load_each(&[unreadable, readable.process.id]).await.unwrap();
    let needs = record::FORMAT + 1;
    let newer_record = StoreError::NewerRecord { needs, reads: record::FORMAT };
    assert_eq!(found[0].as_ref().unwrap_err().to_string(), newer_record.to_string());
    assert_eq!(found[1].as_ref().unwrap().as_ref().unwrap().process.id, readable.process.id);

    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 10 };
    let listing = older.store.list(&ProcessFilter::default(), &page).await.unwrap();
    assert_eq!(listing.damaged, [unreadable]);
    assert_eq!(listing.processes.len(), 1);

    // If a process without an owner has a pending action, it is due, so that any node may handle it.
    for id in [unreadable, readable.process.id] {
        newer.store.enqueue_action(&id, newer.ids.op(), PendingAction::Pause).await.unwrap();
    }
    let due = older.store.claim_due(&old_node, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].process.id, readable.process.id);
}
