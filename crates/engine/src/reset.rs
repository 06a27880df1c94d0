//! Reset: stops all processes and deletes all records with their output.

use crate::cascade::LIVE;
use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use crate::retention::ENDED;
use crate::tree::MemberOutcome;
use longhaul_domain::{Action, Deadline, ProcessId, Retention, Status, StopCause, Timestamp};
use longhaul_ports::{PageRequest, ProcessFilter, SortOrder, StoreError, StoreRejection, StoredProcess};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Additional time after the longest grace period, within which all stops must be confirmed.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(1);
/// Time within which processes must end after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of stop rounds. A launch that was in progress when the reset started may require another round.
const MAX_ROUNDS: u32 = 3;
/// Delay between two checks for ended records whose cascade is not finished. There are at most [`MAX_CHECKS`] checks.
const SETTLING: Duration = Duration::from_millis(50);
const MAX_CHECKS: u32 = 40;

/// Result of a reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetResult {
    /// The live processes that received a stop request, oldest first.
    pub stopped: Vec<ProcessId>,
    /// Number of deleted records.
    pub removed: u64,
    /// The processes that did not end. Their records were not deleted.
    pub left: Vec<ProcessId>,
}

/// Says whether a reset is running.
#[derive(Debug, Default)]
pub(crate) struct ResetState {
    under_way: AtomicBool,
}

impl ResetState {
    /// Returns true while a reset is running. No launch is accepted during that time.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::SeqCst)
    }
}

impl Engine {
    /// Stops all live processes and deletes all records with their output. No launch is accepted during that time. A
    /// dry run changes nothing and returns the processes that would be stopped and the number of records that would be
    /// deleted.
    ///
    /// # Errors
    /// - [`EngineError::ResetInProgress`] while another reset is running.
    /// - [`EngineError::Store`] if the store cannot be read.
    /// - [`EngineError::ResetUnfinished`] if the store cannot be written; running processes are stopped nevertheless.
    pub async fn clear(&self, dry_run: bool) -> Result<ResetResult, EngineError> {
        let core = self.core.clone();
        if dry_run {
            return core.would_reset().await;
        }
        run_to_completion(async move {
            let _gate = LaunchGate::close(&core)?;
            core.clear().await
        })
        .await
    }
}

/// Guard that blocks launches until it is dropped.
struct LaunchGate<'a>(&'a ResetState);

impl<'a> LaunchGate<'a> {
    fn close(core: &'a EngineShared) -> Result<Self, EngineError> {
        if core.clearing.under_way.swap(true, Ordering::SeqCst) {
            return Err(EngineError::ResetInProgress);
        }
        Ok(Self(&core.clearing))
    }
}

impl Drop for LaunchGate<'_> {
    fn drop(&mut self) {
        self.0.under_way.store(false, Ordering::SeqCst);
    }
}

impl EngineShared {
    async fn would_reset(&self) -> Result<ResetResult, EngineError> {
        let mut cleared = ResetResult::default();
        self.each(&ProcessFilter::default(), |stored| {
            cleared.removed = cleared.removed.saturating_add(1);
            if !stored.process.status().is_ended() {
                cleared.stopped.push(stored.process.id);
            }
        })
        .await?;
        Ok(cleared)
    }

    async fn clear(self: &Arc<Self>) -> Result<ResetResult, EngineError> {
        let mut cleared = ResetResult::default();
        let mut reported = BTreeSet::new();
        for _ in 0..MAX_ROUNDS {
            let live = self.all(&live()).await?;
            if live.is_empty() {
                break;
            }
            let fresh = live.iter().map(|stored| stored.process.id).filter(|id| reported.insert(*id));
            cleared.stopped.extend(fresh);
            if let Some(StoreUnwritable { reached, source }) = self.stop_live(&live).await? {
                let stopped = live.iter().map(|stored| stored.process.id).filter(|id| reached.contains(id));
                return Err(EngineError::ResetUnfinished { stopped: stopped.collect(), removed: 0, source });
            }
        }
        let source = match self.remove_ended(&mut cleared.removed).await {
            Ok(()) => {
                cleared.left = self.all(&live()).await?.iter().map(|stored| stored.process.id).collect();
                return Ok(cleared);
            }
            Err(EngineError::Store { source }) => source,
            Err(EngineError::Refused { refusal }) => StoreError::Refused(refusal),
            Err(error) => return Err(error),
        };
        let ResetResult { stopped, removed, .. } = cleared;
        Err(EngineError::ResetUnfinished { stopped, removed, source })
    }

    /// Cancels live processes, and kills the processes that have not ended after their grace period. Does not wait if
    /// the store cannot be written: the spawner stops the attempts, but their records would not show the end.
    async fn stop_live(
        self: &Arc<Self>,
        live: &[StoredProcess],
    ) -> Result<Option<StoreUnwritable>, EngineError> {
        // Cancel waiting processes first, so that they do not start when slots become free.
        let waits = |stored: &&StoredProcess| stored.process.status() == Status::Pending;
        let (waiting, running): (Vec<&StoredProcess>, Vec<&StoredProcess>) = live.iter().partition(waits);
        let ids: Vec<ProcessId> =
            waiting.into_iter().chain(running).map(|stored| stored.process.id).collect();
        let graces = live.iter().filter_map(|stored| stored.process.spec.command());
        let grace = graces.map(|command| command.stop.total_grace()).max().unwrap_or_default();
        let cause = StopCause::User;
        if let Err(unwritable) = self.cancel_or_warn(ids.clone(), &Action::Cancel { cause }).await {
            return Ok(Some(unwritable));
        }
        if self.all_end_within(&ids, grace.saturating_add(VERIFY_TIMEOUT)).await? {
            return Ok(None);
        }
        let stubborn: Vec<ProcessId> =
            self.all(&self::live()).await?.iter().map(|stored| stored.process.id).collect();
        if let Err(unwritable) = self.cancel_or_warn(stubborn.clone(), &Action::Force { cause }).await {
            return Ok(Some(unwritable));
        }
        self.all_end_within(&stubborn, KILL_TIMEOUT).await?;
        Ok(None)
    }

    async fn cancel_or_warn(
        self: &Arc<Self>,
        ids: Vec<ProcessId>,
        command: &Action,
    ) -> Result<(), StoreUnwritable> {
        let mut reached = BTreeSet::new();
        let mut unwritten = None;
        for MemberOutcome { id, outcome } in (Engine { core: self.clone() }).tell(ids, command).await {
            match outcome {
                Ok(_) => {
                    reached.insert(id);
                }
                Err(EngineError::NotFound { .. }) => {}
                Err(EngineError::StopUnrecorded { source, .. }) => {
                    reached.insert(id);
                    unwritten = permanent(source).or(unwritten);
                }
                Err(EngineError::Store { source }) => unwritten = permanent(source).or(unwritten),
                Err(EngineError::Refused { refusal }) => {
                    unwritten = permanent(StoreError::Refused(refusal)).or(unwritten);
                }
                Err(error) => tracing::warn!(%id, %error, "could not stop a process"),
            }
        }
        unwritten.map_or(Ok(()), |source| Err(StoreUnwritable { reached, source }))
    }

    /// Waits until no process is live. Returns false if the time limit passes first.
    async fn all_end_within(&self, ids: &[ProcessId], time_limit: Duration) -> Result<bool, EngineError> {
        let deadline = self.parts.clock.awake().plus(time_limit);
        let ear = self.notifier.subscribe(ids);
        let one = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1 };
        loop {
            let listing = self.parts.store.list(&live(), &one).await?;
            if listing.processes.is_empty() && listing.damaged.is_empty() && listing.next.is_none() {
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

    /// Deletes all ended records. Waits for a short time for records whose cascade is not finished.
    async fn remove_ended(self: &Arc<Self>, removed: &mut u64) -> Result<(), EngineError> {
        let everything = Retention { age: None, count: None, before: Some(Timestamp(i64::MAX)) };
        let ended = ProcessFilter { statuses: ENDED.to_vec(), ..ProcessFilter::default() };
        let one = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1 };
        for _ in 0..MAX_CHECKS {
            let pruned = self.prune_all(&everything).await?;
            *removed = removed.saturating_add(u64::try_from(pruned.ids.len()).unwrap_or(u64::MAX));
            let listing = self.parts.store.list(&ended, &one).await?;
            if listing.processes.is_empty() && listing.next.is_none() {
                break;
            }
            let again = self.parts.clock.awake().plus(SETTLING);
            self.parts.clock.sleep_until(Deadline::Awake(again)).await;
        }
        Ok(())
    }
}

/// The store cannot be written, and waiting does not help.
#[derive(Debug)]
struct StoreUnwritable {
    /// The processes that received a stop request nevertheless.
    reached: BTreeSet<ProcessId>,
    source: StoreError,
}

/// Returns the error if it is permanent; `None` if waiting may help.
fn permanent(error: StoreError) -> Option<StoreError> {
    matches!(error, StoreError::ReadOnly { .. } | StoreError::Refused(StoreRejection::Full)).then_some(error)
}

fn live() -> ProcessFilter {
    ProcessFilter { statuses: LIVE.to_vec(), ..ProcessFilter::default() }
}
