//! This machine's time, chance and vault keep every promise of their ports.
#![cfg(feature = "system")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_adapters::system::{FileVault, RandomIds, SystemClock};
use longhaul_testkit::suite::{ClockWorld, IdsWorld, VaultWorld};
use std::sync::Arc;

mod clock {
    use super::*;

    fn open() -> ClockWorld {
        let directory = tempfile::tempdir().unwrap();
        let clock = SystemClock::open(directory.path()).unwrap();
        ClockWorld::new(Arc::new(clock)).guarded(directory)
    }

    longhaul_testkit::clock_suite!(open);
}

mod ids {
    use super::*;

    fn open() -> IdsWorld {
        IdsWorld::new(Arc::new(RandomIds))
    }

    longhaul_testkit::ids_suite!(open);
}

mod vault {
    use super::*;

    fn open() -> VaultWorld {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        VaultWorld::new(move || Arc::new(FileVault::open(&path).unwrap())).guarded(directory)
    }

    longhaul_testkit::vault_suite!(open);
}
