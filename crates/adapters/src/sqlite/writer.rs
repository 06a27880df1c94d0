//! The one thread that writes.

use super::bells::{Bells, News};
use super::failure::{Halt, Verdict, closed, corrupt, not_applied};
use super::ledger::Ledger;
use longhaul_domain::{OpId, Timestamp};
use longhaul_ports::{Cursor, Refusal, StoreError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The most steps in one commit: beyond this the first of them would wait for the last.
const LARGEST_BATCH: usize = 512;

/// Light steps are forced to the disk after this long at the latest.
const LONGEST_UNSYNCED: Duration = Duration::from_secs(1);

/// How hard a step tries to outlive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// It is on the disk before it is answered.
    Durable,
    /// A crash of the machine may lose it within the next second.
    Light,
}

/// Takes steps from many callers and commits those that wait together.
pub(super) struct Writer {
    line: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        ledger: Ledger,
        bells: Arc<Bells>,
        newest: watch::Sender<Cursor>,
    ) -> Result<Self, StoreError> {
        let (line, jobs) = channel();
        let desk = Desk { ledger, bells, newest, synced: None, failed: None };
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
        effort: Effort,
        step: impl Fn(&mut Ledger) -> Result<T, Halt> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let job = Step { op, effort, step, answer: None, to: Some(to) };
        let line = self.line.as_ref().ok_or_else(closed)?;
        line.send(Box::new(job)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.line = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
    }
}

/// A step that waits for its answer.
trait Job: Send {
    fn effort(&self) -> Effort;
    fn run(&mut self, ledger: &mut Ledger) -> Result<Run, rusqlite::Error>;
    /// Hands out the answer of the last run.
    fn answer(&mut self);
    /// Answers with an error instead.
    fn fail(&mut self, error: &dyn Fn(Option<OpId>) -> StoreError);
}

/// What became of a step that the database carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Applied,
    Refused,
}

struct Step<T, F> {
    op: Option<OpId>,
    effort: Effort,
    step: F,
    answer: Option<Result<T, StoreError>>,
    to: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T, F> Job for Step<T, F>
where
    T: Send,
    F: Fn(&mut Ledger) -> Result<T, Halt> + Send,
{
    fn effort(&self) -> Effort {
        self.effort
    }

    fn run(&mut self, ledger: &mut Ledger) -> Result<Run, rusqlite::Error> {
        let (run, answer) = match (self.step)(ledger) {
            Ok(answer) => (Run::Applied, Ok(answer)),
            Err(Halt::Answer(error)) => (Run::Refused, Err(error)),
            Err(Halt::Database(error)) => return Err(error),
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
struct Desk {
    ledger: Ledger,
    bells: Arc<Bells>,
    /// The place of the newest event.
    newest: watch::Sender<Cursor>,
    /// When a commit was last forced to the disk.
    synced: Option<Timestamp>,
    /// Why nothing is acknowledged any more.
    failed: Option<String>,
}

/// Why a batch was undone.
#[derive(Debug)]
enum Undone {
    /// Before the commit: surely nothing of it is left.
    Before(rusqlite::Error),
    /// By the commit itself.
    AtCommit(rusqlite::Error),
}

impl Desk {
    fn work(mut self, jobs: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            while batch.len() < LARGEST_BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.settle(batch);
            self.tidy();
        }
    }

    fn settle(&mut self, mut batch: Vec<Box<dyn Job>>) {
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
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<Vec<News>, Undone> {
        let effort = self.effort_for(batch);
        self.ledger.begin(effort).map_err(Undone::Before)?;
        for job in batch.iter_mut() {
            self.ledger.mark().map_err(Undone::Before)?;
            match job.run(&mut self.ledger) {
                Ok(Run::Applied) => self.ledger.keep().map_err(Undone::Before)?,
                Ok(Run::Refused) => self.ledger.revert().map_err(Undone::Before)?,
                Err(error) if Verdict::on(&error) == Verdict::Step && self.ledger.is_open() => {
                    self.ledger.revert().map_err(Undone::Before)?;
                    tracing::error!(%error, "a step of the store failed");
                    let message = error.to_string();
                    job.fail(&|_| StoreError::Unavailable { source: message.clone().into() });
                }
                Err(error) => return Err(Undone::Before(error)),
            }
        }
        self.ledger.upkeep().map_err(Undone::Before)?;
        let news = self.ledger.commit().map_err(Undone::AtCommit)?;
        if effort == Effort::Durable {
            self.synced = Some(self.ledger.now());
        }
        Ok(news)
    }

    /// Calls those whom it concerns.
    fn tell(&self, news: &[News]) {
        if news.contains(&News::Logged) {
            self.newest.send_replace(self.ledger.newest());
        }
        news.iter().for_each(|news| self.bells.tell(news));
    }

    /// Light steps are not synced one by one, but neither may a crash take more than the last second of them.
    fn effort_for(&self, batch: &[Box<dyn Job>]) -> Effort {
        let light = batch.iter().all(|job| job.effort() == Effort::Light);
        let lately = self.synced.is_some_and(|synced| self.ledger.now().since(synced) < LONGEST_UNSYNCED);
        if light && lately { Effort::Light } else { Effort::Durable }
    }

    /// A full disk may still take one small step; a disk that failed is not asked again.
    fn undone(&mut self, mut batch: Vec<Box<dyn Job>>, undone: Undone) {
        self.ledger.abandon();
        let (error, at_commit) = match undone {
            Undone::Before(error) => (error, false),
            Undone::AtCommit(error) => (error, true),
        };
        let verdict = Verdict::on(&error);
        match verdict {
            Verdict::Full if batch.len() > 1 => {
                for job in batch {
                    self.settle(vec![job]);
                }
                return;
            }
            Verdict::Disk | Verdict::Damaged => {
                tracing::error!(%error, "the store is read-only from here on");
                self.failed = Some(format!("a write failed ({error}); restart to open it anew"));
            }
            Verdict::Full | Verdict::ReadOnly | Verdict::Step => {
                tracing::warn!(%error, "a write to the store failed");
            }
        }
        let message = error.to_string();
        let answer = |op| match verdict {
            // The frames of the commit may have reached the disk.
            Verdict::Disk if at_commit => StoreError::Unknown { op, source: message.clone().into() },
            Verdict::Damaged => corrupt(message.clone()),
            Verdict::ReadOnly => StoreError::ReadOnly { why: message.clone() },
            Verdict::Full => StoreError::Refused(Refusal::Full),
            Verdict::Disk | Verdict::Step => StoreError::Unavailable { source: message.clone().into() },
        };
        batch.iter_mut().for_each(|job| job.fail(&answer));
    }

    /// Moves the log into the database once it is long, when nobody waits for it.
    fn tidy(&mut self) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.ledger.checkpoint() {
            let verdict = Verdict::on(&error);
            tracing::warn!(%error, "the log of the store could not be moved into it");
            if matches!(verdict, Verdict::Disk | Verdict::Damaged) {
                self.failed = Some(not_applied(error).to_string());
            }
        }
    }
}
