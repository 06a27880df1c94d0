//! The contract test suite of stores, run on the file store.
#![cfg(feature = "fs")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_ports::Store;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;

async fn open(clock: VirtualClock) -> StoreFixture {
    let directory = tempfile::tempdir().unwrap();
    let (path, time) = (directory.path().join("store"), clock.clone());
    let open = move || FsStore::open(&path, Arc::new(time.clone()), FsOptions::default()).unwrap();
    let store = Arc::new(open());
    let reopened = move || -> Arc<dyn Store> { Arc::new(open()) };
    StoreFixture::new(store, clock).with_reopening(move || std::future::ready(reopened())).guarded(directory)
}

longhaul_testkit::store_suite!(open);

mod durable {
    longhaul_testkit::durable_store_suite!(super::open);
}
