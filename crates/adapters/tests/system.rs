//! The contract test suites, run on the system clock, the random id source and the environment store.
#![cfg(feature = "system")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_adapters::system::{FileEnvironmentStore, RandomIds, SystemClock};
use longhaul_testkit::suite::{ClockFixture, EnvironmentStoreFixture, IdSourceFixture};
use std::sync::Arc;

mod clock {
    use super::*;

    fn open() -> ClockFixture {
        let directory = tempfile::tempdir().unwrap();
        let clock = SystemClock::open(directory.path()).unwrap();
        ClockFixture::new(Arc::new(clock)).guarded(directory)
    }

    longhaul_testkit::clock_suite!(open);
}

mod ids {
    use super::*;

    fn open() -> IdSourceFixture {
        IdSourceFixture::new(Arc::new(RandomIds))
    }

    longhaul_testkit::ids_suite!(open);
}

mod store {
    use super::*;

    fn open() -> EnvironmentStoreFixture {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        EnvironmentStoreFixture::new(move || Arc::new(FileEnvironmentStore::open(&path).unwrap()))
            .guarded(directory)
    }

    longhaul_testkit::environment_store_suite!(open);
}
