//! Compares every built-in store with the model, and checks that the model detects a store that differs.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;

mod memory {
    use super::{Arc, StoreFixture, VirtualClock};
    use longhaul_adapters::memory::MemoryStore;

    async fn open(clock: VirtualClock) -> StoreFixture {
        StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
    }

    longhaul_testkit::model_suite!(open);
}

mod leased {
    use super::{Arc, StoreFixture, VirtualClock};
    use longhaul_adapters::memory::MemoryStore;
    use std::time::Duration;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    async fn open(clock: VirtualClock) -> StoreFixture {
        let store = MemoryStore::new(Arc::new(clock.clone())).with_leases(WEEK, WEEK);
        StoreFixture::new(Arc::new(store), clock)
    }

    longhaul_testkit::model_suite!(open);
}

mod sqlite {
    use super::{Arc, StoreFixture, VirtualClock};
    use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};

    async fn open(clock: VirtualClock) -> StoreFixture {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store.db");
        let store = SqliteStore::open(&path, Arc::new(clock.clone()), SqliteOptions::default());
        StoreFixture::new(Arc::new(store.expect("a store")), clock).guarded(directory)
    }

    longhaul_testkit::model_suite!(open);
}

mod fs {
    use super::{Arc, StoreFixture, VirtualClock};
    use longhaul_adapters::fs::{FsOptions, FsStore};

    async fn open(clock: VirtualClock) -> StoreFixture {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store");
        let store = FsStore::open(&path, Arc::new(clock.clone()), FsOptions::default());
        StoreFixture::new(Arc::new(store.expect("a store")), clock).guarded(directory)
    }

    longhaul_testkit::model_suite!(open);
}
