//! The store in memory keeps every promise of a store.
#![cfg(feature = "memory")]

use longhaul_adapters::memory::MemoryStore;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use longhaul_testkit::suite::{RestoringWorld, StoreWorld};
use std::sync::Arc;

fn open(clock: VirtualClock) -> StoreWorld {
    StoreWorld::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}

fn open_leased(clock: VirtualClock) -> StoreWorld {
    StoreWorld::new(Arc::new(MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE)), clock)
}

longhaul_testkit::store_suite!(open);

fn open_restoring(clock: VirtualClock) -> RestoringWorld {
    let store = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
    let emptied = store.clone();
    RestoringWorld::new(Arc::new(store), clock, move || emptied.lose_everything())
}

mod restoring {
    longhaul_testkit::restoring_store_suite!(super::open_restoring);
}

mod leased {
    longhaul_testkit::leased_store_suite!(super::open_leased);
}
