//! The store in memory keeps every promise of a store.
#![cfg(feature = "memory")]

use longhaul_adapters::memory::MemoryStore;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use std::sync::Arc;

fn open(clock: VirtualClock) -> StoreWorld {
    StoreWorld::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}

longhaul_testkit::store_suite!(open);
