//! The threads that execute queries.

use super::failure::{StepAbort, closed};
use longhaul_ports::StoreError;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

type DatabaseQuery = Box<dyn FnOnce(&Connection) + Send>;

/// Reader threads, each with its own connection. They take queries from one queue.
pub(super) struct QueryThreads {
    line: Arc<QueryQueue>,
    threads: Vec<JoinHandle<()>>,
}

/// Queue of waiting queries. Each query wakes only one thread. With a shared channel, the threads would wake each
/// other.
#[derive(Default)]
struct QueryQueue {
    waiting: Mutex<QueuedQuery>,
    came: Condvar,
}

#[derive(Default)]
struct QueuedQuery {
    questions: VecDeque<DatabaseQuery>,
    /// True if no more queries can arrive.
    is_over: bool,
}

impl QueryThreads {
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, StoreError> {
        let mut readers = Self { line: Arc::default(), threads: Vec::new() };
        for connection in connections {
            let line = Arc::clone(&readers.line);
            let thread = thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || line.answer_all(&connection))
                .map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Executes a query on one consistent snapshot of the database.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StepAbort> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let ask: DatabaseQuery = Box::new(move |connection| {
            let answered = connection
                .unchecked_transaction()
                .map_err(StepAbort::from)
                .and_then(|_moment| query(connection));
            // An error is ignored, because the caller may no longer be waiting.
            let _ = to.send(answered.map_err(StepAbort::into_error));
        });
        self.line.lock().questions.push_back(ask);
        self.line.came.notify_one();
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        self.line.lock().is_over = true;
        self.line.came.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
    }
}

impl QueryQueue {
    fn answer_all(&self, connection: &Connection) {
        while let Some(query) = self.next() {
            query(connection);
        }
    }

    /// Waits for a query and returns the oldest one. Returns `None` if the queue is empty and closed.
    fn next(&self) -> Option<DatabaseQuery> {
        let nothing = |waiting: &mut QueuedQuery| waiting.questions.is_empty() && !waiting.is_over;
        let waiting = self.came.wait_while(self.lock(), nothing);
        waiting.unwrap_or_else(PoisonError::into_inner).questions.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, QueuedQuery> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
