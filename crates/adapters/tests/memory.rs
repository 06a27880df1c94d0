//! The contract test suite of stores, run on the in-memory store.
#![cfg(feature = "memory")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use longhaul_adapters::memory::MemoryStore;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use longhaul_testkit::suite::{RestoreFixture, StoreFixture};
use std::sync::Arc;
use std::time::Duration;

async fn open(clock: VirtualClock) -> StoreFixture {
    StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}

async fn open_leased(clock: VirtualClock) -> StoreFixture {
    StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE)), clock)
}

longhaul_testkit::store_suite!(open);

async fn open_with_long_leases(clock: VirtualClock) -> StoreFixture {
    // A lease must last longer than the virtual time of any test in the suite.
    let year = Duration::from_secs(365 * 24 * 3600);
    StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone())).with_leases(year, year)), clock)
}

async fn open_restoring(clock: VirtualClock) -> RestoreFixture {
    let store = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
    let emptied = store.clone();
    RestoreFixture::new(Arc::new(store), clock, move || emptied.lose_everything())
}

mod restoring {
    longhaul_testkit::restoring_store_suite!(super::open_restoring);
}

mod with_long_leases {
    longhaul_testkit::store_suite!(super::open_with_long_leases);
}

mod leased {
    longhaul_testkit::leased_store_suite!(super::open_leased);
}

#[path = "shared/long_queue.rs"]
mod long_queue;

/// A claim reads only the first process of each lane, so its duration does not depend on the length of the queue.
#[tokio::test]
async fn a_claim_from_a_long_queue_is_fast() {
    let clock = VirtualClock::default();
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let (claim, submission) = long_queue::claim_and_submit(store, clock).await;
    eprintln!("100,000 waiting: claim {claim:?}, submission {submission:?}");
    assert!(claim < Duration::from_millis(20), "{claim:?}");
}

#[tokio::test]
async fn the_stored_key_is_replaced_only_by_a_node_that_trusts_it() {
    let store = MemoryStore::new(Arc::new(VirtualClock::default()));
    assert_eq!(store.cluster_key().await.unwrap(), None);
    for (signing, trusted, agreed) in
        [("a", None, "a"), ("b", None, "a"), ("c", Some("b"), "a"), ("b", Some("a"), "b"), ("a", None, "b")]
    {
        assert_eq!(store.agree_on_key(signing, trusted).await.unwrap(), agreed, "{signing} {trusted:?}");
        assert_eq!(store.cluster_key().await.unwrap().as_deref(), Some(agreed));
    }
}
