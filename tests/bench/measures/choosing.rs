//! Measures the time to claim the next of many waiting processes for a node.

use super::Found;
use crate::Failure;
use crate::figures::{CHOOSE_MEMORY, CHOOSE_SQLITE, CLAIM_P50, CLAIM_P99};
use crate::sample::Sample;
use crate::stores;
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{NodeId, Placement};
use longhaul_ports::{ClaimCapacity, Clock, NodeDescriptor, PlacementClass, Store};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEYS: usize = 1_000;

/// Measures claims. The cost of choosing a process is the processor time of a claim in a store that writes nothing to
/// disk.
pub(super) fn claims(_: &Path, quick: bool) -> Result<Found, Failure> {
    let runtime = stores::runtime()?;
    let (ram, disk) = (stores::in_memory()?, stores::on_disk()?);
    let clock = stores::clock(ram.path())?;
    let ask = |store: Arc<dyn Store>| runtime.block_on(ask(&store, &clock, quick));
    let memory = ask(Arc::new(MemoryStore::new(Arc::clone(&clock))))?;
    let in_ram = ask(Arc::new(stores::database(ram.path())?))?;
    let durable = ask(Arc::new(stores::database(disk.path())?))?;
    Ok(vec![
        (CHOOSE_MEMORY, memory.computed.percentile(99)?),
        (CHOOSE_SQLITE, in_ram.computed.percentile(99)?),
        (CLAIM_P50, durable.passed.median()?),
        (CLAIM_P99, durable.passed.percentile(99)?),
    ])
}

/// Wall-clock time and processor time of each claim.
#[derive(Default)]
struct Claims {
    passed: Sample,
    computed: Sample,
}

async fn ask(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, quick: bool) -> Result<Claims, Failure> {
    stores::line_up(store, clock, if quick { 10_000 } else { 100_000 }, KEYS).await?;
    let me =
        NodeDescriptor { id: NodeId::new("bench")?, home: None, boot: String::new(), version: String::new() };
    let lease = store.register(&me).await?;
    let classes = vec![PlacementClass::Shared(Placement::Here)];
    let room = ClaimCapacity { roots: u32::MAX, batch: 1, classes };
    let mut claims = Claims::default();
    for round in 0..if quick { 100 } else { 1_000 } {
        let (began, before) = (Instant::now(), spent());
        let claimed = store.claim(&lease, &room).await?;
        // The first rounds only fill the caches, so they are not measured.
        if round >= 5 {
            claims.passed.add_span(began.elapsed());
            claims.computed.add_span(spent().saturating_sub(before));
        }
        if claimed.len() != 1 {
            return Err("no process was claimed although many wait".into());
        }
    }
    Ok(claims)
}

/// Returns the processor time that this program has used.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
