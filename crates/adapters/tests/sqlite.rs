//! The store in a SQLite database keeps every promise of a store.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use std::sync::Arc;

fn open(clock: VirtualClock) -> StoreWorld {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path, Arc::new(clock.clone()), SqliteOptions::default()).unwrap();
    StoreWorld::new(Arc::new(store), clock).guarded(directory)
}

longhaul_testkit::store_suite!(open);
