//! The thread that executes all writes of a store.

use super::failure::{DatabaseFailureClass, StepAbort, closed, corrupt, not_applied};
use super::notifiers::{NodeEvent, NodeNotifiers};
use super::write_connection::WriteConnection;
use longhaul_domain::{OpId, Timestamp};
use longhaul_ports::{EventCursor, StoreError, StoreRejection};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Maximum number of steps in one commit. A larger commit would delay the reply to its first step too much.
const MAX_BATCH: usize = 512;

/// Maximum time after which light steps are synced to the disk.
const MAX_SYNC_DELAY: Duration = Duration::from_secs(1);

/// Durability of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncMode {
    /// The step is on the disk before the caller receives the reply.
    Durable,
    /// A crash of the machine may lose the step within the next second.
    Light,
}

/// Accepts steps from many callers, and writes the steps that are waiting at the same time in one commit.
pub(super) struct DatabaseThread {
    line: Option<Sender<Box<dyn DatabaseJob>>>,
    thread: Option<JoinHandle<()>>,
}

impl DatabaseThread {
    pub(super) fn start(
        ledger: WriteConnection,
        notifiers: Arc<NodeNotifiers>,
        newest: watch::Sender<EventCursor>,
    ) -> Result<Self, StoreError> {
        let (line, jobs) = channel();
        let context = DatabaseContext { ledger, notifiers, newest, synced: None, failed: None };
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
        effort: SyncMode,
        step: impl Fn(&mut WriteConnection) -> Result<T, StepAbort> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let job = DatabaseStep { op, effort, step, answer: None, to: Some(to) };
        let line = self.line.as_ref().ok_or_else(closed)?;
        line.send(Box::new(job)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for DatabaseThread {
    fn drop(&mut self) {
        self.line = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
    }
}

/// A step whose caller is waiting for a reply.
trait DatabaseJob: Send {
    fn effort(&self) -> SyncMode;
    fn run(&mut self, ledger: &mut WriteConnection) -> Result<StepResult, rusqlite::Error>;
    /// Sends the caller the result of the last run.
    fn answer(&mut self);
    /// Sends the caller an error instead of the result.
    fn fail(&mut self, error: &dyn Fn(Option<OpId>) -> StoreError);
}

/// Result of an executed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepResult {
    Applied,
    Refused,
}

struct DatabaseStep<T, F> {
    op: Option<OpId>,
    effort: SyncMode,
    step: F,
    answer: Option<Result<T, StoreError>>,
    to: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T, F> DatabaseJob for DatabaseStep<T, F>
where
    T: Send,
    F: Fn(&mut WriteConnection) -> Result<T, StepAbort> + Send,
{
    fn effort(&self) -> SyncMode {
        self.effort
    }

    fn run(&mut self, ledger: &mut WriteConnection) -> Result<StepResult, rusqlite::Error> {
        let (run, answer) = match (self.step)(ledger) {
            Ok(answer) => (StepResult::Applied, Ok(answer)),
            Err(StepAbort::Answer(error)) => (StepResult::Refused, Err(error)),
            Err(StepAbort::Database(error)) => return Err(error),
        };
        self.answer = Some(answer);
        Ok(run)
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
struct DatabaseContext {
    ledger: WriteConnection,
    notifiers: Arc<NodeNotifiers>,
    /// Cursor of the newest event.
    newest: watch::Sender<EventCursor>,
    /// Time of the last commit that was synced to the disk.
    synced: Option<Timestamp>,
    /// Reason why the store acknowledges no further writes.
    failed: Option<String>,
}

/// Reason why a batch was undone.
#[derive(Debug)]
enum BatchFailure {
    /// A failure before the commit. The batch certainly had no effect.
    Before(rusqlite::Error),
    /// A failure of the commit itself.
    AtCommit(rusqlite::Error),
}

impl DatabaseContext {
    fn work(mut self, jobs: &Receiver<Box<dyn DatabaseJob>>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.settle(batch);
            self.tidy();
        }
    }

    fn settle(&mut self, mut batch: Vec<Box<dyn DatabaseJob>>) {
        if let Some(why) = &self.failed {
            let error = |_| StoreError::ReadOnly { why: why.clone() };
            batch.iter_mut().for_each(|job| job.fail(&error));
            return;
        }
        match self.commit(&mut batch) {
            Ok(events) => {
                // Send replies before notifications, because the notified tasks compete for the same processors.
                batch.iter_mut().for_each(|job| job.answer());
                self.notify(&events);
            }
            Err(undone) => self.undone(batch, undone),
        }
    }

    /// Runs every step under its own savepoint, and commits all steps together.
    fn commit(&mut self, batch: &mut [Box<dyn DatabaseJob>]) -> Result<Vec<NodeEvent>, BatchFailure> {
        let effort = self.effort_for(batch);
        self.ledger.begin(effort).map_err(BatchFailure::Before)?;
        for job in batch.iter_mut() {
            self.ledger.mark().map_err(BatchFailure::Before)?;
            match job.run(&mut self.ledger) {
                Ok(StepResult::Applied) => self.ledger.keep().map_err(BatchFailure::Before)?,
                Ok(StepResult::Refused) => self.ledger.revert().map_err(BatchFailure::Before)?,
                Err(error)
                    if DatabaseFailureClass::on(&error) == DatabaseFailureClass::Step
                        && self.ledger.is_open() =>
                {
                    self.ledger.revert().map_err(BatchFailure::Before)?;
                    tracing::error!(%error, "an operation of the store failed");
                    let message = error.to_string();
                    job.fail(&|_| StoreError::Unavailable { source: message.clone().into() });
                }
                Err(error) => return Err(BatchFailure::Before(error)),
            }
        }
        self.ledger.maintain().map_err(BatchFailure::Before)?;
        let events = self.ledger.commit().map_err(BatchFailure::AtCommit)?;
        if effort == SyncMode::Durable {
            self.synced = Some(self.ledger.now());
        }
        Ok(events)
    }

    /// Sends the notifications of the committed steps.
    fn notify(&self, events: &[NodeEvent]) {
        if events.contains(&NodeEvent::Logged) {
            self.newest.send_replace(self.ledger.newest());
        }
        events.iter().for_each(|events| self.notifiers.notify(events));
    }

    /// Returns the sync mode of a batch. Light steps are not synced individually, but a crash loses at most the light
    /// steps of the last second.
    fn effort_for(&self, batch: &[Box<dyn DatabaseJob>]) -> SyncMode {
        let light = batch.iter().all(|job| job.effort() == SyncMode::Light);
        let lately = self.synced.is_some_and(|synced| self.ledger.now().since(synced) < MAX_SYNC_DELAY);
        if light && lately { SyncMode::Light } else { SyncMode::Durable }
    }

    /// Handles a batch that could not be committed. If the disk is full, tries each step alone, because a small step
    /// may succeed. After any other disk failure, all steps fail.
    fn undone(&mut self, mut batch: Vec<Box<dyn DatabaseJob>>, undone: BatchFailure) {
        self.ledger.abandon();
        let (error, at_commit) = match undone {
            BatchFailure::Before(error) => (error, false),
            BatchFailure::AtCommit(error) => (error, true),
        };
        let verdict = DatabaseFailureClass::on(&error);
        match verdict {
            DatabaseFailureClass::Full if batch.len() > 1 => {
                for job in batch {
                    self.settle(vec![job]);
                }
                return;
            }
            DatabaseFailureClass::Disk | DatabaseFailureClass::Damaged => {
                tracing::error!(%error, "the store became read-only until the manager is restarted");
                self.failed =
                    Some(format!("a write failed ({error}); restart the manager to open the store again"));
            }
            DatabaseFailureClass::Full | DatabaseFailureClass::ReadOnly | DatabaseFailureClass::Step => {
                tracing::warn!(%error, "a write to the store failed");
            }
        }
        let message = error.to_string();
        let answer = |op| match verdict {
            // The commit may have reached the disk partly or completely.
            DatabaseFailureClass::Disk if at_commit => {
                StoreError::Unknown { op, source: message.clone().into() }
            }
            DatabaseFailureClass::Damaged => corrupt(message.clone()),
            DatabaseFailureClass::ReadOnly => StoreError::ReadOnly { why: message.clone() },
            DatabaseFailureClass::Full => StoreError::Refused(StoreRejection::Full),
            DatabaseFailureClass::Disk | DatabaseFailureClass::Step => {
                StoreError::Unavailable { source: message.clone().into() }
            }
        };
        batch.iter_mut().for_each(|job| job.fail(&answer));
    }

    /// Checkpoints a long write-ahead log while no step is waiting.
    fn tidy(&mut self) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.ledger.checkpoint() {
            let verdict = DatabaseFailureClass::on(&error);
            tracing::warn!(%error, "could not move the write-ahead log into the database");
            if matches!(verdict, DatabaseFailureClass::Disk | DatabaseFailureClass::Damaged) {
                self.failed = Some(not_applied(error).to_string());
            }
        }
    }
}
