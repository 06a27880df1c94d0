//! Checks that random sequences of operations give the same results on the local stores as on the reference, which is
//! the in-memory store.
#![cfg(all(feature = "fs", feature = "memory", feature = "sqlite"))]
#![expect(clippy::unwrap_used, reason = "tests and their helpers fail by panicking")]

use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::{ScriptTally, agree};
use std::sync::Arc;

fn memory() -> StoreFixture {
    let clock = VirtualClock::default();
    StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)
}

fn sqlite() -> StoreFixture {
    let clock = VirtualClock::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path, Arc::new(clock.clone()), SqliteOptions::default()).unwrap();
    StoreFixture::new(Arc::new(store), clock).guarded(directory)
}

fn fs() -> StoreFixture {
    let clock = VirtualClock::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = FsStore::open(&path, Arc::new(clock.clone()), FsOptions::default()).unwrap();
    StoreFixture::new(Arc::new(store), clock).guarded(directory)
}

#[tokio::test]
async fn the_reference_agrees_with_itself() {
    agree(&memory(), &memory(), 7, 500).await;
}

#[tokio::test]
async fn sqlite_agrees_with_the_reference() {
    let mut tally = ScriptTally::default();
    for seed in 0..12 {
        tally = tally.and(agree(&memory(), &sqlite(), seed, 400).await);
    }
    let ScriptTally { accepted, refused, claimed, written, unwritten, handed, pruned } = tally;
    let min = [accepted, refused, claimed, written, unwritten, handed, pruned].into_iter().min();
    assert!(min >= Some(20), "the script must have an effect: {tally:?}");
}

#[tokio::test]
async fn fs_agrees_with_the_reference() {
    let mut tally = ScriptTally::default();
    for seed in 0..6 {
        tally = tally.and(agree(&memory(), &fs(), seed, 400).await);
    }
    let ScriptTally { accepted, refused, claimed, written, unwritten, handed, pruned } = tally;
    let min = [accepted, refused, claimed, written, unwritten, handed, pruned].into_iter().min();
    assert!(min >= Some(20), "the script must have an effect: {tally:?}");
}
