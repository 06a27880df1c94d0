//! Every change is held to an index that is made anew, by [`super::rows`]; these go through many.

use super::MemoryStore;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use longhaul_testkit::suite::agreement::{Tally, agree};
use std::sync::Arc;

#[tokio::test]
async fn the_index_follows_from_the_records_whatever_is_asked() {
    let mut tally = Tally::default();
    for seed in 0..4 {
        tally = tally.and(agree(&world(), &world(), seed, 400).await);
    }
    let Tally { accepted, claimed, written, handed, swept, .. } = tally;
    let least = [accepted, claimed, written, handed, swept].into_iter().min();
    assert!(least >= Some(10), "the script has to come to something: {tally:?}");
}

fn world() -> StoreWorld {
    let clock = VirtualClock::default();
    StoreWorld::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}
