//! The thread that executes all writes of a store.

use super::checkpoint::{self, CHECKPOINT_COMMITS};
use super::failure::{WriteError, closed};
use super::journal::{JournalKind, JournalWriter};
use super::journal_view::{JournalShared, JournalView};
use super::state::StoreState;
use super::store_dir::JournalFileId;
use longhaul_domain::{OpId, Timestamp};
use longhaul_ports::{Clock, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Maximum number of steps in one commit. A larger commit would delay the reply to its first step too much.
const MAX_BATCH: usize = 512;
/// Maximum time that a light step waits in memory before it is written to the disk.
const MAX_WRITE_DELAY: Duration = Duration::from_millis(900);
/// Minimum number of commits since the last checkpoint that make a new checkpoint worthwhile when the store is full.
const MIN_CHECKPOINT_COMMITS: u64 = 16;

/// Durability of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileDurability {
    /// The step is on the disk before the caller receives the reply.
    Durable,
    /// A crash may lose the step within the next second.
    Light,
}

/// Accepts steps from many callers, and writes the steps that are waiting at the same time in one commit.
#[derive(Debug)]
pub(super) struct JournalThread {
    line: Option<Sender<Box<dyn JournalJob>>>,
    thread: Option<JoinHandle<()>>,
}

impl JournalThread {
    pub(super) fn start(
        shared: Arc<JournalShared>,
        clock: Arc<dyn Clock>,
        due: SyncSender<()>,
    ) -> Result<Self, StoreError> {
        let (line, jobs) = channel();
        let requested_at = shared.checkpointed.load(Ordering::Relaxed);
        let context = JournalContext {
            shared,
            clock,
            due,
            requested_at,
            first_due: None,
            light_since: None,
            was_full: false,
            compacted: (0, 0),
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || context.work(&jobs))
            .map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
        Ok(Self { line: Some(line), thread: Some(thread) })
    }

    /// Executes one step. The step may run more than once, because the steps of a failed batch are undone and run
    /// again.
    pub(super) async fn apply<T: Send + 'static>(
        &self,
        op: Option<OpId>,
        effort: FileDurability,
        step: impl Fn(&mut StoreState, Timestamp) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let job = JournalStep { op, effort, step, answer: None, to: Some(to) };
        let line = self.line.as_ref().ok_or_else(closed)?;
        line.send(Box::new(job)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for JournalThread {
    fn drop(&mut self) {
        self.line = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

/// A step whose caller is waiting for a reply.
trait JournalJob: Send {
    fn effort(&self) -> FileDurability;
    fn run(&mut self, state: &mut StoreState, now: Timestamp);
    /// Sends the caller the result of the last run.
    fn answer(&mut self);
    /// Sends the caller an error instead of the result.
    fn fail(&mut self, error: &dyn Fn(Option<OpId>) -> StoreError);
}

struct JournalStep<T, F> {
    op: Option<OpId>,
    effort: FileDurability,
    step: F,
    answer: Option<Result<T, StoreError>>,
    to: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T, F> JournalJob for JournalStep<T, F>
where
    T: Send,
    F: Fn(&mut StoreState, Timestamp) -> Result<T, StoreError> + Send,
{
    fn effort(&self) -> FileDurability {
        self.effort
    }

    fn run(&mut self, state: &mut StoreState, now: Timestamp) {
        self.answer = Some((self.step)(state, now));
    }

    fn answer(&mut self) {
        if let (Some(to), Some(answer)) = (self.to.take(), self.answer.take()) {
            // An error is ignored: the caller may no longer be waiting, and the step remains committed.
            let _ = to.send(answer);
        }
    }

    fn fail(&mut self, error: &dyn Fn(Option<OpId>) -> StoreError) {
        if let Some(to) = self.to.take() {
            // An error is ignored, because the caller may no longer be waiting.
            let _ = to.send(Err(error(self.op)));
        }
    }
}

/// State of the writer thread.
struct JournalContext {
    shared: Arc<JournalShared>,
    clock: Arc<dyn Clock>,
    /// Channel through which the writer requests a checkpoint.
    due: SyncSender<()>,
    /// Number of the last commit at the time of the last checkpoint request.
    requested_at: u64,
    /// Earliest due time of the rows without an owner, as of the last step.
    first_due: Option<Timestamp>,
    /// Time since which a light step has been waiting to be written.
    light_since: Option<Instant>,
    /// True if the disk was full at the last write.
    was_full: bool,
    /// Number of the last commit and number of pruned records at the time when a full store was last compacted.
    compacted: (u64, u64),
}

impl JournalContext {
    fn work(mut self, jobs: &Receiver<Box<dyn JournalJob>>) {
        while let Some(first) = self.next(jobs) {
            let mut batch: Vec<Box<dyn JournalJob>> = first.into_iter().collect();
            while batch.len() < MAX_BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.settle(batch);
            self.order_checkpoint();
        }
        if self.light_since.is_some() {
            self.settle(Vec::new());
        }
    }

    /// Returns the next step, or `Some(None)` when the waiting light steps must be written. Returns `None` if the store
    /// is closed.
    fn next(&self, jobs: &Receiver<Box<dyn JournalJob>>) -> Option<Option<Box<dyn JournalJob>>> {
        let Some(since) = self.light_since else {
            return jobs.recv().ok().map(Some);
        };
        match jobs.recv_timeout(MAX_WRITE_DELAY.saturating_sub(since.elapsed())) {
            Ok(job) => Some(Some(job)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn settle(&mut self, mut batch: Vec<Box<dyn JournalJob>>) {
        if let Some(why) = self.shared.failed() {
            self.light_since = None;
            let error = |_| StoreError::ReadOnly { why: why.clone() };
            batch.iter_mut().for_each(|job| job.fail(&error));
            return;
        }
        if self.was_full
            && let Err(trouble) = self.shared.store_dir.has_room(0)
        {
            self.light_since = None;
            batch.iter_mut().for_each(|job| job.fail(&|op| trouble.answer(op)));
            return;
        }
        match self.commit(&mut batch) {
            Ok(()) => {
                self.shared.changed.notify_waiters();
                batch.iter_mut().for_each(|job| job.answer());
            }
            Err(trouble) => self.undone(batch, &trouble),
        }
    }

    /// Runs every step and writes the changes into one file. Readers cannot read the changes until the file is on the
    /// disk.
    fn commit(&mut self, batch: &mut [Box<dyn JournalJob>]) -> Result<(), WriteError> {
        let shared = Arc::clone(&self.shared);
        let mut view = shared.view.blocking_write();
        for job in batch.iter_mut() {
            job.run(&mut view.state, self.clock.now());
        }
        let next = view.state.ledger.rows.index().first_due();
        if next.is_some_and(|next| self.first_due.is_none_or(|due| next < due)) {
            view.state.ledger.updates.for_all();
        }
        self.first_due = next;
        if !self.is_to_be_written(&view.state, batch) {
            return Ok(());
        }
        let no = view.last.saturating_add(1);
        let lines = view.state.take_changes();
        let place = &self.shared.store_dir;
        let prepared = place.prepare(JournalFileId::Commit(no), |to| {
            let mut writer = JournalWriter::begin(to, JournalKind::Commit(no))?;
            lines.iter().try_for_each(|line| writer.line(line))?;
            writer.finish().map(drop)
        });
        let written = prepared.and_then(|()| place.publish(JournalFileId::Commit(no)));
        self.light_since = None;
        match written {
            Ok(()) => {
                view.last = no;
                self.was_full = false;
                Ok(())
            }
            Err(trouble) => {
                self.read_again(&mut view);
                Err(trouble)
            }
        }
    }

    /// Returns true if the changes must be written now, because one of them is durable or the maximum delay is over.
    fn is_to_be_written(&mut self, state: &StoreState, batch: &[Box<dyn JournalJob>]) -> bool {
        let light = batch.iter().all(|job| job.effort() == FileDurability::Light);
        if !state.has_changes() {
            self.light_since = None;
            return false;
        }
        if state.needs_write() || !light || batch.is_empty() {
            return true;
        }
        let since = *self.light_since.get_or_insert_with(Instant::now);
        since.elapsed() >= MAX_WRITE_DELAY
    }

    /// Reads the records again from the files, to discard the changes that could not be written.
    fn read_again(&self, view: &mut JournalView) {
        let _files = self.shared.files();
        match JournalView::read(&self.shared.store_dir) {
            Ok((mut fresh, _)) => {
                fresh.state.ledger.updates = std::mem::take(&mut view.state.ledger.updates);
                fresh.state.ledger.updates.for_all();
                *view = fresh;
            }
            Err(error) => {
                tracing::error!(%error, "could not read the store");
                view.lost = Some(error.to_string());
                self.shared.fail(format!(
                    "the store could not be read ({error}); restart the manager to open the store again"
                ));
            }
        }
    }

    /// Handles a batch that could not be written. If the disk is full, tries each step alone, because a small step may
    /// succeed. After any other failure, all steps fail.
    fn undone(&mut self, mut batch: Vec<Box<dyn JournalJob>>, trouble: &WriteError) {
        if trouble.is_final() {
            self.shared
                .fail(format!("a write failed ({trouble}); restart the manager to open the store again"));
        } else {
            tracing::warn!(%trouble, "a write to the store failed");
        }
        match trouble {
            WriteError::Full => {
                self.was_full = true;
                if self.compact() {
                    return self.settle(batch);
                }
                if batch.len() > 1 {
                    for job in batch {
                        self.settle(vec![job]);
                    }
                    return;
                }
            }
            WriteError::ReadOnly(_)
            | WriteError::NotWritten(_)
            | WriteError::Disk(_)
            | WriteError::Unsure(_) => {}
        }
        batch.iter_mut().for_each(|job| job.fail(&|op| trouble.answer(op)));
    }

    /// Writes a checkpoint to free space in a full store, if that can help. Tries again only after a later commit.
    /// Returns true if a checkpoint was written.
    fn compact(&mut self) -> bool {
        let (last, pruned) = {
            let view = self.shared.view.blocking_read();
            (view.last, view.state.ledger.pruned_total)
        };
        let checkpointed = self.shared.checkpointed.load(Ordering::Relaxed);
        let worth_it =
            pruned > self.compacted.1 || last.saturating_sub(checkpointed) >= MIN_CHECKPOINT_COMMITS;
        if last == self.compacted.0 || !worth_it {
            return false;
        }
        self.compacted = (last, pruned);
        checkpoint::write_or_log(&self.shared);
        self.shared.checkpointed.load(Ordering::Relaxed) > checkpointed
    }

    fn order_checkpoint(&mut self) {
        let last = self.shared.view.blocking_read().last;
        let done = self.shared.checkpointed.load(Ordering::Relaxed);
        if last.saturating_sub(self.requested_at.max(done)) >= CHECKPOINT_COMMITS {
            // If a checkpoint is already in progress, this request is dropped and repeated after a later commit.
            if self.due.try_send(()).is_ok() {
                self.requested_at = last;
            }
        }
    }
}
