//! Clearing: everything that runs is stopped, and every record and its output goes.

use crate::descend::LIVE;
use crate::engine::{Core, Engine};
use crate::error::EngineError;
use crate::retention::ENDED;
use crate::shield::to_its_end;
use longhaul_domain::{Command, Deadline, ProcessId, Retention, Status, StopCause, Timestamp};
use longhaul_ports::{Filter, Order, PageAsk, Stored};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Past its longest grace a stop gets this long to be verified.
const MARGIN: Duration = Duration::from_secs(1);
/// After a kill this long.
const KILLED: Duration = Duration::from_secs(5);
/// What was on its way in when the launches were closed is stopped in another round.
const ROUNDS: u32 = 3;
/// Ended records that still have something to do about their descendants are looked at again after this long, so often.
const SETTLING: Duration = Duration::from_millis(50);
const MOST_LOOKS: u32 = 40;

/// What a clear came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// What lived and was told to end, oldest first.
    pub stopped: Vec<ProcessId>,
    /// How many records went.
    pub removed: u64,
    /// What would not end; its records stay.
    pub left: Vec<ProcessId>,
}

/// Whether everything is being cleared.
#[derive(Debug, Default)]
pub(crate) struct Clearing {
    under_way: AtomicBool,
}

impl Clearing {
    /// Whether nothing new is taken.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::SeqCst)
    }
}

impl Engine {
    /// Stops everything that has not ended, and lets go of every record with its output. Nothing is launched meanwhile.
    /// A dry run changes nothing and tells what would be stopped and how many records would go.
    ///
    /// # Errors
    /// [`EngineError::Clearing`] while another one is under way, [`EngineError::Store`] if the store cannot be read or
    /// written.
    pub async fn clear(&self, dry_run: bool) -> Result<Cleared, EngineError> {
        let core = self.core.clone();
        if dry_run {
            return core.would_clear().await;
        }
        to_its_end(async move {
            let _gate = Gate::close(&core)?;
            core.clear().await
        })
        .await
    }
}

/// Keeps launches out; opens again however the clear ends.
struct Gate<'a>(&'a Clearing);

impl<'a> Gate<'a> {
    fn close(core: &'a Core) -> Result<Self, EngineError> {
        if core.clearing.under_way.swap(true, Ordering::SeqCst) {
            return Err(EngineError::Clearing);
        }
        Ok(Self(&core.clearing))
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        self.0.under_way.store(false, Ordering::SeqCst);
    }
}

impl Core {
    async fn would_clear(&self) -> Result<Cleared, EngineError> {
        let mut cleared = Cleared::default();
        self.each(&Filter::default(), |stored| {
            cleared.removed = cleared.removed.saturating_add(1);
            if !stored.process.status().is_ended() {
                cleared.stopped.push(stored.process.id);
            }
        })
        .await?;
        Ok(cleared)
    }

    async fn clear(self: &Arc<Self>) -> Result<Cleared, EngineError> {
        let mut cleared = Cleared::default();
        let mut told = BTreeSet::new();
        for _ in 0..ROUNDS {
            let live = self.all(&live()).await?;
            if live.is_empty() {
                break;
            }
            let fresh = live.iter().map(|stored| stored.process.id).filter(|id| told.insert(*id));
            cleared.stopped.extend(fresh);
            self.stop_live(&live).await?;
        }
        cleared.removed = self.remove_ended().await?;
        cleared.left = self.all(&live()).await?.iter().map(|stored| stored.process.id).collect();
        Ok(cleared)
    }

    /// Asks them to end, and kills what has not ended within its grace.
    async fn stop_live(self: &Arc<Self>, live: &[Stored]) -> Result<(), EngineError> {
        // What waits comes first, so that nothing is started in the place of what is stopped.
        let waits = |stored: &&Stored| stored.process.status() == Status::Pending;
        let (waiting, running): (Vec<&Stored>, Vec<&Stored>) = live.iter().partition(waits);
        let ids: Vec<ProcessId> =
            waiting.into_iter().chain(running).map(|stored| stored.process.id).collect();
        let graces = live.iter().filter_map(|stored| stored.process.spec.command());
        let grace = graces.map(|command| command.stop.patience()).max().unwrap_or_default();
        let cause = StopCause::User;
        self.tell_or_warn(ids.clone(), &Command::Cancel { cause }).await;
        if self.all_end_within(&ids, grace.saturating_add(MARGIN)).await? {
            return Ok(());
        }
        let stubborn: Vec<ProcessId> =
            self.all(&self::live()).await?.iter().map(|stored| stored.process.id).collect();
        self.tell_or_warn(stubborn.clone(), &Command::Force { cause }).await;
        self.all_end_within(&stubborn, KILLED).await?;
        Ok(())
    }

    async fn tell_or_warn(self: &Arc<Self>, ids: Vec<ProcessId>, command: &Command) {
        for told in (Engine { core: self.clone() }).tell(ids, command).await {
            match told.outcome {
                Ok(_) | Err(EngineError::NotFound { .. }) => {}
                Err(error) => tracing::warn!(id = %told.id, %error, "a process could not be told to end"),
            }
        }
    }

    /// Parks until nothing lives any more; false if the time is over first.
    async fn all_end_within(&self, ids: &[ProcessId], patience: Duration) -> Result<bool, EngineError> {
        let deadline = self.parts.clock.awake().plus(patience);
        let ear = self.hub.subscribe(ids);
        let one = PageAsk { order: Order::OldestFirst, after: None, most: 1 };
        loop {
            let listing = self.parts.store.list(&live(), &one).await?;
            if listing.processes.is_empty() && listing.next.is_none() {
                return Ok(true);
            }
            if self.parts.clock.awake() >= deadline {
                return Ok(false);
            }
            tokio::select! {
                () = ear.changed() => {}
                () = self.parts.clock.sleep_until(Deadline::Awake(deadline)) => {}
            }
        }
    }

    /// Lets go of every ended record; one whose descendants are still being seen to gets a moment.
    async fn remove_ended(self: &Arc<Self>) -> Result<u64, EngineError> {
        let everything = Retention { age: None, count: None, before: Some(Timestamp(i64::MAX)) };
        let ended = Filter { statuses: ENDED.to_vec(), ..Filter::default() };
        let one = PageAsk { order: Order::OldestFirst, after: None, most: 1 };
        let mut removed = 0_u64;
        for _ in 0..MOST_LOOKS {
            let pruned = self.let_go(&everything).await?;
            removed = removed.saturating_add(u64::try_from(pruned.ids.len()).unwrap_or(u64::MAX));
            let listing = self.parts.store.list(&ended, &one).await?;
            if listing.processes.is_empty() && listing.next.is_none() {
                break;
            }
            let again = self.parts.clock.awake().plus(SETTLING);
            self.parts.clock.sleep_until(Deadline::Awake(again)).await;
        }
        Ok(removed)
    }
}

fn live() -> Filter {
    Filter { statuses: LIVE.to_vec(), ..Filter::default() }
}
