//! The contract test suite of stores, run on the Redis store, and comparisons with the reference store.

use crate::server::world;

longhaul_testkit::store_suite!(world);

mod restoring {
    use crate::server::restoring_world;

    longhaul_testkit::restoring_store_suite!(restoring_world);
}

mod leased {
    use crate::server::leased_world;

    longhaul_testkit::leased_store_suite!(leased_world);
}

mod reopened {
    use crate::server::world;

    longhaul_testkit::durable_store_suite!(world);
}

mod connected {
    use crate::server::cut_world;

    longhaul_testkit::connected_store_suite!(cut_world);
}

#[cfg(feature = "memory")]
mod agreement {
    use crate::server::world;
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::fakes::VirtualClock;
    use longhaul_testkit::suite::StoreFixture;
    use longhaul_testkit::suite::agreement::{ScriptTally, agree};
    use std::sync::Arc;

    fn memory() -> StoreFixture {
        let clock = VirtualClock::default();
        StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn redis_agrees_with_the_reference() {
        let mut tally = ScriptTally::default();
        for seed in 0..8 {
            tally = tally.and(agree(&memory(), &world(VirtualClock::default()).await, seed, 400).await);
        }
        let ScriptTally { accepted, refused, claimed, written, unwritten, handed, pruned } = tally;
        let min = [accepted, refused, claimed, written, unwritten, handed, pruned].into_iter().min();
        assert!(min >= Some(20), "the script must have an effect: {tally:?}");
    }
}
