//! Measures the time to read a page of a long list.

use super::Found;
use crate::Failure;
use crate::figures::{PAGE_DEEP, PAGE_LIVE, PAGE_NEWEST};
use crate::sample::Sample;
use crate::stores;
use longhaul_adapters::sqlite::SqliteStore;
use longhaul_domain::{Seq, Status};
use longhaul_ports::{PageKey, PageRequest, ProcessFilter, ProcessStore, SortOrder, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Number of waiting processes among the completed ones.
const LIVE: u32 = 100;

pub(super) fn pages(_: &Path, quick: bool) -> Result<Found, Failure> {
    let home = stores::on_disk()?;
    let clock = stores::clock(home.path())?;
    let records: u64 = if quick { 20_000 } else { 1_000_000 };
    let runtime = stores::runtime()?;
    runtime.block_on(async {
        let store = stores::database(home.path())?;
        stores::fill(&store, &*clock, records).await?;
        let shared: Arc<dyn Store> = Arc::new(store);
        stores::line_up(&shared, &clock, LIVE, 1).await?;
        drop(shared);
        // Open the store again, as a manager does when it starts.
        let store = stores::database(home.path())?;
        let everything = ProcessFilter::default();
        let live =
            ProcessFilter { statuses: vec![Status::Pending, Status::Running], ..ProcessFilter::default() };
        let rounds: u64 = if quick { 50 } else { 500 };
        let (mut newest, mut deep, mut alive) = (Sample::default(), Sample::default(), Sample::default());
        for round in 1..=rounds {
            newest.add(page(&store, &everything, None).await?);
            let after = PageKey(Seq((records / rounds * round).max(51)));
            deep.add(page(&store, &everything, Some(after)).await?);
            alive.add(page(&store, &live, None).await?);
        }
        Ok(vec![
            (PAGE_NEWEST, newest.percentile(99)?),
            (PAGE_DEEP, deep.percentile(99)?),
            (PAGE_LIVE, alive.percentile(99)?),
        ])
    })
}

/// Returns the time in milliseconds to read one page.
async fn page(store: &SqliteStore, filter: &ProcessFilter, after: Option<PageKey>) -> Result<f64, Failure> {
    let ask = PageRequest { order: SortOrder::NewestFirst, after, limit: 50 };
    let began = Instant::now();
    let listing = store.list(filter, &ask).await?;
    let span = began.elapsed();
    if listing.processes.len() != 50 {
        return Err(format!("a page of 50 has {} records", listing.processes.len()).into());
    }
    Ok(span.as_secs_f64() * 1e3)
}
