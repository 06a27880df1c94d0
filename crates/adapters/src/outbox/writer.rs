//! The thread that owns the outbox file and executes all its reads and writes.

use super::failure::{OutboxError, closed, is_final, not_kept};
use super::row::{self, OutboxMeta, OutboxRow};
use crate::database;
use longhaul_domain::ProcessId;
use longhaul_failpoint::{crashpoint, failpoint};
use longhaul_ports::StoreError;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Delay before a non-urgent change is written. Because of this delay, several changes of a short process are written
/// together.
const BATCH_DELAY: Duration = Duration::from_millis(40);
/// Number of collected requests that triggers a commit. The commit also includes up to the same number of requests that
/// are already waiting in the channel.
const MAX_BATCH: usize = 1_024;
/// Delay before a failed write is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A change to the outbox file.
#[derive(Debug)]
pub(super) enum OutboxChange {
    /// Writes the record of a process.
    Put(Box<OutboxRow>),
    /// Deletes all data of a process.
    Delete(ProcessId),
    /// Writes the metadata about the shared store.
    Mark(Box<OutboxMeta>),
}

impl OutboxChange {
    /// Returns the process that the change affects, or `None` for the metadata.
    const fn subject(&self) -> Option<ProcessId> {
        match self {
            Self::Put(row) => Some(row.stored.process.id),
            Self::Delete(id) => Some(*id),
            Self::Mark(_) => None,
        }
    }
}

/// Durable changes of one commit, and the callers that are waiting for the commit.
#[derive(Default)]
struct DurableChanges {
    changes: Vec<OutboxChange>,
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

/// Handle to the writer thread. Accepts requests from many callers, and writes waiting requests in one commit.
pub(super) struct OutboxWriter {
    line: Option<Sender<WriteRequest>>,
    thread: Option<JoinHandle<()>>,
}

enum WriteRequest {
    /// Writes the change after [`BATCH_DELAY`] at the latest. A failed write is tried again.
    Soon(OutboxChange),
    /// Writes the change without a delay. A failed write is tried again.
    Now(OutboxChange),
    /// Writes the change and syncs it to the disk before the answer. A failed write is not tried again.
    Durable(OutboxChange, oneshot::Sender<Result<(), StoreError>>),
    /// Executes a query after all earlier requests.
    Read(OutboxQuery),
}

type OutboxQuery = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

impl OutboxWriter {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (line, orders) = channel();
        let desk = OutboxWriterContext {
            connection,
            backlog: WriteBacklog::default(),
            is_synced: true,
            failed: None,
        };
        let thread = thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || desk.work(&orders))
            .map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
        Ok(Self { line: Some(line), thread: Some(thread) })
    }

    /// Writes the change after [`BATCH_DELAY`] at the latest, without a sync. A crash of the manager can lose the
    /// change only before it is written. A crash of the machine can lose it even after that.
    pub(super) fn soon(&self, entry: OutboxChange) {
        self.order(WriteRequest::Soon(entry));
    }

    /// Writes the change as soon as the thread is idle, without a sync.
    pub(super) fn at_once(&self, entry: OutboxChange) {
        self.order(WriteRequest::Now(entry));
    }

    /// Writes the change durably. This function sends the request immediately, so it can be called under a lock. The
    /// returned future must be awaited without a lock.
    pub(super) fn durably(
        &self,
        entry: OutboxChange,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (to, answer) = oneshot::channel();
        self.order(WriteRequest::Durable(entry, to));
        async move { answer.await.map_err(|_| closed())? }
    }

    /// Executes a query. The query includes all earlier changes.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        self.order(WriteRequest::Read(Box::new(move |connection| {
            let answer =
                connection.and_then(|connection| question(connection).map_err(OutboxError::into_error));
            // An error is ignored, because the caller may no longer be waiting.
            let _ = to.send(answer);
        })));
        answer.await.map_err(|_| closed())?
    }

    fn order(&self, order: WriteRequest) {
        if let Some(line) = &self.line {
            // If the thread has panicked, the answer channel is closed and the caller receives an error.
            let _ = line.send(order);
        }
    }
}

impl Drop for OutboxWriter {
    fn drop(&mut self) {
        self.line = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

/// State of the writer thread.
struct OutboxWriterContext {
    connection: Connection,
    backlog: WriteBacklog,
    /// True while SQLite syncs each commit to the disk.
    is_synced: bool,
    /// Message of the fatal error after which nothing is written.
    failed: Option<String>,
}

/// Changes that are waiting to be written. If a process has several waiting changes, only the latest change remains.
#[derive(Default)]
struct WriteBacklog {
    lines: HashMap<ProcessId, Option<Box<OutboxRow>>>,
    mark: Option<Box<OutboxMeta>>,
    /// Time of the last failed write.
    tried: Option<Instant>,
}

impl OutboxWriterContext {
    fn work(mut self, orders: &Receiver<WriteRequest>) {
        loop {
            let gathered = self.gather(orders);
            let is_over = gathered.is_over;
            self.settle(gathered);
            if is_over {
                return;
            }
        }
    }

    /// Collects the next requests. Waits up to [`BATCH_DELAY`] for more requests, unless a request is urgent.
    fn gather(&self, orders: &Receiver<WriteRequest>) -> WriteBatch {
        let mut gathered = WriteBatch::default();
        let mut until = self.backlog.tried.map(|tried| tried + RETRY_DELAY).filter(|_| self.failed.is_none());
        loop {
            let next = match until {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => orders.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            let (is_urgent, begins) = match &next {
                Ok(WriteRequest::Soon(_)) => (false, true),
                Ok(WriteRequest::Now(_) | WriteRequest::Durable(..) | WriteRequest::Read(_)) => (true, false),
                Err(RecvTimeoutError::Timeout) => return gathered,
                Err(RecvTimeoutError::Disconnected) => {
                    gathered.is_over = true;
                    return gathered;
                }
            };
            gathered.orders.extend(next);
            if begins && gathered.orders.len() == 1 {
                let soon = Instant::now() + BATCH_DELAY;
                until = Some(until.map_or(soon, |until| until.min(soon)));
            }
            if is_urgent || gathered.orders.len() >= MAX_BATCH {
                gathered.orders.extend(orders.try_iter().take(MAX_BATCH));
                return gathered;
            }
        }
    }

    fn settle(&mut self, gathered: WriteBatch) {
        let mut questions = Vec::new();
        let mut durable = DurableChanges::default();
        for order in gathered.orders {
            match order {
                WriteRequest::Soon(_) | WriteRequest::Now(_) if self.failed.is_some() => {}
                WriteRequest::Soon(entry) | WriteRequest::Now(entry) => {
                    // A commit writes the backlog before its durable changes. A change that arrived after them
                    // therefore needs a later commit.
                    if durable.changes.iter().any(|earlier| earlier.subject() == entry.subject()) {
                        self.settle_durable(std::mem::take(&mut durable));
                    }
                    self.backlog.add(entry);
                }
                WriteRequest::Durable(entry, to) => {
                    durable.changes.push(entry);
                    durable.waiting.push(to);
                }
                WriteRequest::Read(question) => questions.push(question),
            }
        }
        self.settle_durable(durable);
        for question in questions {
            question(match &self.failed {
                Some(why) => Err(StoreError::ReadOnly { why: why.clone() }),
                None => Ok(&self.connection),
            });
        }
    }

    /// Writes the backlog and these changes, and answers the callers that are waiting for them.
    fn settle_durable(&mut self, durable: DurableChanges) {
        let written = match &self.failed {
            Some(why) => Err(StoreError::ReadOnly { why: why.clone() }),
            None => self.write(&durable.changes),
        };
        for to in durable.waiting {
            let answer = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(same(error)),
            };
            // An error is ignored: the caller may no longer be waiting, and a later load returns the record.
            let _ = to.send(answer);
        }
    }

    /// Writes the backlog and the durable changes in one commit.
    fn write(&mut self, durable: &[OutboxChange]) -> Result<(), StoreError> {
        if durable.is_empty() && self.backlog.is_empty() {
            return Ok(());
        }
        match self.commit(durable) {
            Ok(()) => {
                self.backlog = WriteBacklog::default();
                Ok(())
            }
            Err(OutboxError::Database(error)) => {
                if !self.connection.is_autocommit() {
                    // An error is ignored, because closing the connection also undoes the transaction.
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                if is_final(&error) {
                    tracing::error!(%error, "the outbox became read-only: this node accepts no launches \
                        until its manager is restarted");
                    self.failed = Some(format!(
                        "the outbox of this node failed ({error}); restart the manager to open it again"
                    ));
                    self.backlog = WriteBacklog::default();
                } else if self.backlog.tried.is_none() {
                    tracing::warn!(%error, "could not write to the outbox");
                }
                self.backlog.tried = Some(Instant::now());
                Err(not_kept(&error))
            }
            Err(OutboxError::Answer(error)) => Err(error),
        }
    }

    fn commit(&mut self, durable: &[OutboxChange]) -> Result<(), OutboxError> {
        let is_synced = !durable.is_empty();
        if self.is_synced != is_synced {
            self.connection.pragma_update(None, "synchronous", if is_synced { "FULL" } else { "NORMAL" })?;
            self.is_synced = is_synced;
        }
        let transaction = self.connection.unchecked_transaction()?;
        for (id, line) in &self.backlog.lines {
            match line {
                Some(line) => row::put(&transaction, line)?,
                None => row::delete(&transaction, id)?,
            }
        }
        if let Some(mark) = &self.backlog.mark {
            row::put_meta(&transaction, mark)?;
        }
        for entry in durable {
            match entry {
                OutboxChange::Put(line) => row::put(&transaction, line)?,
                OutboxChange::Delete(id) => row::delete(&transaction, id)?,
                OutboxChange::Mark(mark) => row::put_meta(&transaction, mark)?,
            }
        }
        failpoint!("outbox.commit").map_err(database::failure)?;
        transaction.commit()?;
        crashpoint!("outbox.committed");
        Ok(())
    }
}

/// Requests that were taken from the channel together.
#[derive(Default)]
struct WriteBatch {
    orders: Vec<WriteRequest>,
    /// True if the handle was dropped, so that no more requests can arrive.
    is_over: bool,
}

impl WriteBacklog {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.mark.is_none()
    }

    fn add(&mut self, entry: OutboxChange) {
        match entry {
            OutboxChange::Delete(id) => {
                self.lines.insert(id, None);
            }
            OutboxChange::Put(mut line) => {
                let before = self.lines.remove(&line.stored.process.id).flatten();
                if let Some(before) = before {
                    line.is_new |= before.is_new;
                    if before.writes_live_stats && !line.writes_live_stats {
                        line.writes_live_stats = true;
                        line.stored.live_stats = before.stored.live_stats;
                    }
                }
                self.lines.insert(line.stored.process.id, Some(line));
            }
            OutboxChange::Mark(mark) => self.mark = Some(mark),
        }
    }
}

/// Copies the error of a commit, once for each caller that is waiting for the commit.
fn same(error: &StoreError) -> StoreError {
    if let StoreError::Refused(refusal) = error {
        return StoreError::Refused(refusal.clone());
    }
    StoreError::ReadOnly { why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::opening;

    fn meta(address: &str) -> OutboxChange {
        OutboxChange::Mark(Box::new(OutboxMeta { address: address.to_owned(), ..OutboxMeta::default() }))
    }

    #[tokio::test]
    async fn change_that_follows_a_durable_change_in_one_batch_is_written_last() {
        let top = tempfile::tempdir().unwrap();
        let writer =
            OutboxWriter::start(opening::open(&top.path().join("outbox.db"), None).unwrap()).unwrap();
        let (release, released) = channel::<()>();
        // The thread is blocked in this query until all changes are waiting in the channel.
        writer.order(WriteRequest::Read(Box::new(move |_| released.recv().unwrap())));
        let durable = writer.durably(meta("first"));
        writer.soon(meta("second"));
        release.send(()).unwrap();
        durable.await.unwrap();
        let read = writer.ask(row::mark).await.unwrap();
        assert_eq!(read.address, "second");
    }
}
