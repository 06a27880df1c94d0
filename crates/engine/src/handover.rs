//! Interrupts live attempts before a store is used with another state directory.

use crate::recover::LIVE;
use longhaul_domain::{ActionSeq, Capabilities, DecisionContext, Input, Interruption, Observation, Status};
use longhaul_ports::{
    Change, Clock, IdSource, Lease, PageRequest, ProcessFilter, SortOrder, Store, StoreError, Writer,
};

const PAGE: u32 = 500;

/// Interrupts each live attempt of a node before another state directory uses the name of the node. `home` is the old
/// state directory. Returns the number of interrupted attempts.
///
/// The attempt directories remain in the old state directory, and only they show how an attempt ended. The manager of
/// the other state directory would find no attempt directory, assume that the command never ran, and start it again.
///
/// # Errors
/// [`StoreError`] if the store cannot be read or written.
pub async fn interrupt_attempts<S: Store + ?Sized>(
    store: &S,
    clock: &dyn Clock,
    ids: &dyn IdSource,
    by: &Lease,
    home: &str,
) -> Result<usize, StoreError> {
    let filter =
        ProcessFilter { statuses: LIVE.to_vec(), owner: Some(by.node.clone()), ..ProcessFilter::default() };
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
    let mut live = Vec::new();
    loop {
        let listing = store.list(&filter, &page).await?.whole()?;
        live.extend(listing.processes.into_iter().filter(|stored| stored.process.spec.command().is_some()));
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    let mut interrupted = 0_usize;
    for stored in live {
        let found = match stored.process.status() {
            Status::Starting => {
                format!(
                    "the store was adopted from {home} before {home} had recorded whether the command ran"
                )
            }
            Status::Running
            | Status::Paused
            | Status::Stopping
            | Status::Pending
            | Status::Completed
            | Status::Failed
            | Status::Timeout
            | Status::Cancelled
            | Status::Interrupted => format!("the store was adopted from {home} while the command ran there"),
        };
        let why = Interruption::RecordLost { found };
        let lost = Input::Observation(Observation::SupervisorLost { attempt: stored.process.attempt, why });
        let context = DecisionContext {
            now: clock.now(),
            awake: clock.awake(),
            chance: ids.chance(),
            capabilities: Capabilities::ALL,
        };
        let events = stored.process.decide(&context, &stored.live_stats, &lost).unwrap_or_default().events;
        if events.is_empty() {
            tracing::warn!(process = %stored.process.id, "could not record a live attempt as interrupted");
            continue;
        }
        let mut next = stored.process;
        next.evolve(&events);
        let author = Writer::Owner(by.clone());
        let (op, expected) = (ids.op(), stored.revision);
        store
            .commit(Change {
                op,
                author,
                expected,
                next,
                events,
                taken: ActionSeq(0),
                require_no_live_descendants: false,
            })
            .await?;
        interrupted = interrupted.saturating_add(1);
    }
    Ok(interrupted)
}
