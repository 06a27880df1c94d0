//! The store in files keeps every promise of a store.
#![cfg(feature = "fs")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use std::sync::Arc;

fn open(clock: VirtualClock) -> StoreWorld {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = FsStore::open(&path, Arc::new(clock.clone()), FsOptions::default()).unwrap();
    StoreWorld::new(Arc::new(store), clock).guarded(directory)
}

longhaul_testkit::store_suite!(open);
