//! Helpers that claim from a queue of 100,000 processes.

use longhaul_domain::{Placement, ProcessId, Revision, Seq};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const WAITING: u64 = 100_000;
const CLAIMS: u32 = 20;

/// Fills an empty store with waiting processes. Returns the mean durations of a claim of one process, and of a
/// submission.
pub(crate) async fn claim_and_submit<S: Store + Migrate>(
    store: Arc<S>,
    clock: VirtualClock,
) -> (Duration, Duration) {
    let world = StoreFixture::new(store.clone(), clock);
    let draft = world.submission(world.draft()).await.process;
    for first in (1..=WAITING).step_by(10_000) {
        let processes = (first..first + 10_000).map(|no| {
            let mut process = draft.clone();
            process.id = ProcessId::new(Uuid::from_u128(no.into()));
            StoredProcess {
                process,
                revision: Revision(1),
                seq: Seq(no),
                owner: None,
                pending_actions: Vec::new(),
                live_stats: longhaul_domain::LiveStats::default(),
            }
        });
        store.import_processes(&processes.collect::<Vec<_>>()).await.unwrap();
    }
    let lease = world.node("a").await;
    let room = ClaimCapacity {
        roots: u32::MAX,
        batch: 1,
        classes: vec![PlacementClass::Shared(Placement::Anywhere), PlacementClass::Shared(Placement::Here)],
    };
    let begun = Instant::now();
    for no in 1..=CLAIMS {
        let claimed = store.claim(&lease, &room).await.unwrap();
        assert_eq!(claimed.iter().map(|stored| stored.seq).collect::<Vec<_>>(), [Seq(no.into())]);
    }
    let claim = begun.elapsed() / CLAIMS;
    let begun = Instant::now();
    for _ in 0..CLAIMS {
        world.submit(world.draft()).await;
    }
    (claim, begun.elapsed() / CLAIMS)
}
