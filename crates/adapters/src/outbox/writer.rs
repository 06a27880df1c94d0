//! The one thread that writes the file and reads it.

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

/// What need not be written at once is written after this long, so that a short life is written once.
const BATCH_DELAY: Duration = Duration::from_millis(40);
/// The most orders in one commit.
const MAX_BATCH: usize = 1_024;
/// The wait before what could not be written is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Something to keep, or to let go.
#[derive(Debug)]
pub(super) enum OutboxChange {
    /// What is known of a process now.
    Put(Box<OutboxRow>),
    /// Nothing of it is kept any more.
    LetGo(ProcessId),
    /// What is known of the store as a whole.
    Mark(Box<OutboxMeta>),
}

/// Takes orders from many callers, and writes those that wait together.
pub(super) struct OutboxWriter {
    line: Option<Sender<WriteRequest>>,
    thread: Option<JoinHandle<()>>,
}

enum WriteRequest {
    /// In time, whatever becomes of it: what fails is tried again.
    Soon(OutboxChange),
    /// The same, without waiting for more.
    Now(OutboxChange),
    /// On the disk before the answer; what fails is not tried again.
    Durable(OutboxChange, oneshot::Sender<Result<(), StoreError>>),
    /// After all that was ordered before.
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

    /// Keeps it within a moment; a crash of the machine may lose it, one of this program only that moment.
    pub(super) fn soon(&self, entry: OutboxChange) {
        self.order(WriteRequest::Soon(entry));
    }

    /// Keeps it as soon as the thread is free.
    pub(super) fn at_once(&self, entry: OutboxChange) {
        self.order(WriteRequest::Now(entry));
    }

    /// Keeps it durably; to be awaited outside any lock, the order is given at once.
    pub(super) fn durably(
        &self,
        entry: OutboxChange,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (to, answer) = oneshot::channel();
        self.order(WriteRequest::Durable(entry, to));
        async move { answer.await.map_err(|_| closed())? }
    }

    /// Asks what is kept, with all that was ordered before.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        self.order(WriteRequest::Read(Box::new(move |connection| {
            let answer =
                connection.and_then(|connection| question(connection).map_err(OutboxError::into_error));
            // Whoever asked may have gone away.
            let _ = to.send(answer);
        })));
        answer.await.map_err(|_| closed())?
    }

    fn order(&self, order: WriteRequest) {
        if let Some(line) = &self.line {
            // The thread ends with this handle alone; whoever waits hears of it.
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

/// Where the thread works.
struct OutboxWriterContext {
    connection: Connection,
    backlog: WriteBacklog,
    /// Whether commits are forced to the disk at the moment.
    is_synced: bool,
    /// Why nothing is written any more.
    failed: Option<String>,
}

/// What waits to be written: of each process only the latest.
#[derive(Default)]
struct WriteBacklog {
    lines: HashMap<ProcessId, Option<Box<OutboxRow>>>,
    mark: Option<Box<OutboxMeta>>,
    /// When it could not be written.
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

    /// Takes what has come, and waits a moment for more if nobody waits for it.
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
        let mut waiting = Vec::new();
        let mut questions = Vec::new();
        let mut durable = Vec::new();
        for order in gathered.orders {
            match order {
                WriteRequest::Soon(_) | WriteRequest::Now(_) if self.failed.is_some() => {}
                WriteRequest::Soon(entry) | WriteRequest::Now(entry) => self.backlog.add(entry),
                WriteRequest::Durable(entry, to) => {
                    durable.push(entry);
                    waiting.push(to);
                }
                WriteRequest::Read(question) => questions.push(question),
            }
        }
        let written = match &self.failed {
            Some(why) => Err(StoreError::ReadOnly { why: why.clone() }),
            None => self.write(&durable),
        };
        let answer = |to: oneshot::Sender<_>, written: Result<(), StoreError>| {
            // Whoever asked may have gone away; what is kept is told by a load later.
            let _ = to.send(written);
        };
        match written {
            Ok(()) => waiting.into_iter().for_each(|to| answer(to, Ok(()))),
            Err(error) => waiting.into_iter().for_each(|to| answer(to, Err(same(&error)))),
        }
        for question in questions {
            question(match &self.failed {
                Some(why) => Err(StoreError::ReadOnly { why: why.clone() }),
                None => Ok(&self.connection),
            });
        }
    }

    /// One commit for all that waits.
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
                    // A transaction that cannot be undone is undone when the connection is closed.
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                if is_final(&error) {
                    tracing::error!(%error, "the outbox is read-only from now on: no launches are accepted");
                    self.failed = Some(format!(
                        "the outbox of this node failed ({error}); restart the manager to open it again"
                    ));
                    self.backlog = WriteBacklog::default();
                } else if self.backlog.tried.is_none() {
                    tracing::warn!(%error, "the outbox cannot be written now");
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
                None => row::let_go(&transaction, id)?,
            }
        }
        if let Some(mark) = &self.backlog.mark {
            row::put_mark(&transaction, mark)?;
        }
        for entry in durable {
            match entry {
                OutboxChange::Put(line) => row::put(&transaction, line)?,
                OutboxChange::LetGo(id) => row::let_go(&transaction, id)?,
                OutboxChange::Mark(mark) => row::put_mark(&transaction, mark)?,
            }
        }
        failpoint!("outbox.commit").map_err(database::failure)?;
        transaction.commit()?;
        crashpoint!("outbox.committed");
        Ok(())
    }
}

/// What was taken from the line.
#[derive(Default)]
struct WriteBatch {
    orders: Vec<WriteRequest>,
    /// Whether nobody will order anything any more.
    is_over: bool,
}

impl WriteBacklog {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.mark.is_none()
    }

    fn add(&mut self, entry: OutboxChange) {
        match entry {
            OutboxChange::LetGo(id) => {
                self.lines.insert(id, None);
            }
            OutboxChange::Put(mut line) => {
                let before = self.lines.remove(&line.stored.process.id).flatten();
                if let Some(before) = before {
                    line.is_new |= before.is_new;
                    if before.vitals_told && !line.vitals_told {
                        line.vitals_told = true;
                        line.stored.live_stats = before.stored.live_stats;
                    }
                }
                self.lines.insert(line.stored.process.id, Some(line));
            }
            OutboxChange::Mark(mark) => self.mark = Some(mark),
        }
    }
}

/// Each of those that wait together gets the answer.
fn same(error: &StoreError) -> StoreError {
    if let StoreError::Refused(refusal) = error {
        return StoreError::Refused(refusal.clone());
    }
    StoreError::ReadOnly { why: error.to_string() }
}
