//! Measures the number of commits per second of a store. The commits are durable, except in the in-memory store.

use super::Found;
use crate::Failure;
use crate::figures::{FS_COMMITS, FS_FULL_COMMITS, MEMORY_COMMITS, SQLITE_COMMITS};
use crate::sample::Sample;
use crate::stores;
use longhaul_adapters::memory::MemoryStore;
use longhaul_ports::{Clock, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Builder;

const WRITERS: usize = 16;

pub(super) fn memory(_: &Path, quick: bool) -> Result<Found, Failure> {
    let home = stores::in_memory()?;
    let clock = stores::clock(home.path())?;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::clone(&clock)));
    // One writer is enough, because more writers would only wait for the same lock.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let count = if quick { 10_000 } else { 100_000 };
        stores::turns(&store, &clock, 1, count).await?;
        let mut sample = Sample::default();
        for _ in 0..3 {
            sample.add(rate(&store, &clock, 1, count / 2).await?);
        }
        Ok(vec![(MEMORY_COMMITS, sample.median()?)])
    })
}

pub(super) fn sqlite(_: &Path, quick: bool) -> Result<Found, Failure> {
    let home = stores::on_disk()?;
    let clock = stores::clock(home.path())?;
    let store: Arc<dyn Store> = Arc::new(stores::database(home.path())?);
    let turns = if quick { 2_000 } else { 20_000 };
    let rate = stores::runtime()?.block_on(rate(&store, &clock, WRITERS, turns))?;
    Ok(vec![(SQLITE_COMMITS, rate)])
}

pub(super) fn files(_: &Path, quick: bool) -> Result<Found, Failure> {
    let runtime = stores::runtime()?;
    let turns = if quick { 400 } else { 4_000 };
    let mut found = Vec::new();
    for (figure, records) in [(FS_COMMITS, 0), (FS_FULL_COMMITS, if quick { 10_000 } else { 100_000 })] {
        let home = stores::on_disk()?;
        let clock = stores::clock(home.path())?;
        let store = stores::files(home.path())?;
        let rate = runtime.block_on(async {
            stores::fill(&store, &*clock, records).await?;
            let store: Arc<dyn Store> = Arc::new(store);
            rate(&store, &clock, WRITERS, turns).await
        })?;
        found.push((figure, rate));
    }
    Ok(found)
}

async fn rate(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    writers: usize,
    turns: u32,
) -> Result<f64, Failure> {
    let began = Instant::now();
    stores::turns(store, clock, writers, turns).await?;
    Ok(f64::from(turns * 2) / began.elapsed().as_secs_f64())
}
