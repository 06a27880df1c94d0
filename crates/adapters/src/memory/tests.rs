//! Random sequences of operations. [`super::rows`] compares the index with a newly built index after every change.

use super::MemoryStore;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::{ScriptTally, agree};
use std::sync::Arc;

#[tokio::test]
async fn the_index_follows_from_the_records_whatever_is_asked() {
    let mut tally = ScriptTally::default();
    for seed in 0..4 {
        tally = tally.and(agree(&world(), &world(), seed, 400).await);
    }
    let ScriptTally { accepted, claimed, written, handed, pruned, .. } = tally;
    let min = [accepted, claimed, written, handed, pruned].into_iter().min();
    assert!(min >= Some(10), "the script must have an effect: {tally:?}");
}

fn world() -> StoreFixture {
    let clock = VirtualClock::default();
    StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}
