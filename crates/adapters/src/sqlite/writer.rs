//! The one thread that writes.

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

/// The most steps in one commit: beyond this the first of them would wait for the last.
const MAX_BATCH: usize = 512;

/// Light steps are forced to the disk after this long at the latest.
const MAX_SYNC_DELAY: Duration = Duration::from_secs(1);

/// How hard a step tries to outlive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncMode {
    /// It is on the disk before it is answered.
    Durable,
    /// A crash of the machine may lose it within the next second.
    Light,
}

/// Takes steps from many callers and commits those that wait together.
pub(super) struct DatabaseThread {
    line: Option<Sender<Box<dyn DatabaseJob>>>,
    thread: Option<JoinHandle<()>>,
}

impl DatabaseThread {
    pub(super) fn start(
        ledger: WriteConnection,
        bells: Arc<NodeNotifiers>,
        newest: watch::Sender<EventCursor>,
    ) -> Result<Self, StoreError> {
        let (line, jobs) = channel();
        let desk = DatabaseContext { ledger, bells, newest, synced: None, failed: None };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || desk.work(&jobs))
            .map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
        Ok(Self { line: Some(line), thread: Some(thread) })
    }

    /// Applies one step; it may be run again if the batch that it was in had to be undone.
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

/// A step that waits for its answer.
trait DatabaseJob: Send {
    fn effort(&self) -> SyncMode;
    fn run(&mut self, ledger: &mut WriteConnection) -> Result<StepResult, rusqlite::Error>;
    /// Hands out the answer of the last run.
    fn answer(&mut self);
    /// Answers with an error instead.
    fn fail(&mut self, error: &dyn Fn(Option<OpId>) -> StoreError);
}

/// What became of a step that the database carried out.
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
            // Whoever asked may have gone away; the step stands.
            let _ = to.send(answer);
        }
    }

    fn fail(&mut self, error: &dyn Fn(Option<OpId>) -> StoreError) {
        if let Some(to) = self.to.take() {
            // Whoever asked may have gone away.
            let _ = to.send(Err(error(self.op)));
        }
    }
}

/// Where the writing thread works.
struct DatabaseContext {
    ledger: WriteConnection,
    bells: Arc<NodeNotifiers>,
    /// The place of the newest event.
    newest: watch::Sender<EventCursor>,
    /// When a commit was last forced to the disk.
    synced: Option<Timestamp>,
    /// Why nothing is acknowledged any more.
    failed: Option<String>,
}

/// Why a batch was undone.
#[derive(Debug)]
enum BatchFailure {
    /// Before the commit: surely nothing of it is left.
    Before(rusqlite::Error),
    /// By the commit itself.
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
            Ok(news) => {
                // Whoever asked goes first: those who listen take the time of the same processors.
                batch.iter_mut().for_each(|job| job.answer());
                self.tell(&news);
            }
            Err(undone) => self.undone(batch, undone),
        }
    }

    /// Runs every step under a savepoint of its own and commits them together.
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
        self.ledger.upkeep().map_err(BatchFailure::Before)?;
        let news = self.ledger.commit().map_err(BatchFailure::AtCommit)?;
        if effort == SyncMode::Durable {
            self.synced = Some(self.ledger.now());
        }
        Ok(news)
    }

    /// Calls those whom it concerns.
    fn tell(&self, news: &[NodeEvent]) {
        if news.contains(&NodeEvent::Logged) {
            self.newest.send_replace(self.ledger.newest());
        }
        news.iter().for_each(|news| self.bells.tell(news));
    }

    /// Light steps are not synced one by one, but neither may a crash take more than the last second of them.
    fn effort_for(&self, batch: &[Box<dyn DatabaseJob>]) -> SyncMode {
        let light = batch.iter().all(|job| job.effort() == SyncMode::Light);
        let lately = self.synced.is_some_and(|synced| self.ledger.now().since(synced) < MAX_SYNC_DELAY);
        if light && lately { SyncMode::Light } else { SyncMode::Durable }
    }

    /// A full disk may still take one small step; a disk that failed is not asked again.
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
                tracing::error!(%error, "the store is read-only from now on");
                self.failed =
                    Some(format!("a write failed ({error}); restart the manager to open the store again"));
            }
            DatabaseFailureClass::Full | DatabaseFailureClass::ReadOnly | DatabaseFailureClass::Step => {
                tracing::warn!(%error, "a write to the store failed");
            }
        }
        let message = error.to_string();
        let answer = |op| match verdict {
            // The frames of the commit may have reached the disk.
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

    /// Moves the log into the database once it is long, when nobody waits for it.
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
