//! The store in memory keeps every promise of a store.
#![cfg(feature = "memory")]

use longhaul_adapters::memory::MemoryStore;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use std::sync::Arc;

fn open(clock: VirtualClock) -> StoreWorld {
    StoreWorld::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}

fn open_leased(clock: VirtualClock) -> StoreWorld {
    StoreWorld::new(Arc::new(MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE)), clock)
}

longhaul_testkit::store_suite!(open);

mod leased {
    longhaul_testkit::leased_store_suite!(super::open_leased);
}
