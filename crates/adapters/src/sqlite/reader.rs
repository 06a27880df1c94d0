//! The threads that read.

use super::failure::{Halt, closed};
use longhaul_ports::StoreError;
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// Threads with a connection each, which take questions from one line.
pub(super) struct Readers {
    line: Option<Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, StoreError> {
        let (line, questions) = channel::<Question>();
        let questions = Arc::new(Mutex::new(questions));
        let mut threads = Vec::new();
        for connection in connections {
            let questions = Arc::clone(&questions);
            let thread = thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || answer_all(&connection, &questions))
                .map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
            threads.push(thread);
        }
        Ok(Self { line: Some(line), threads })
    }

    /// Asks one question; all that it reads is of one moment.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Halt> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (to, answer) = oneshot::channel();
        let ask: Question = Box::new(move |connection| {
            let answered = connection
                .unchecked_transaction()
                .map_err(Halt::from)
                .and_then(|_moment| question(connection));
            // Whoever asked may have gone away.
            let _ = to.send(answered.map_err(Halt::into_error));
        });
        let line = self.line.as_ref().ok_or_else(closed)?;
        line.send(ask).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.line = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
    }
}

fn answer_all(connection: &Connection, questions: &Mutex<Receiver<Question>>) {
    loop {
        let next = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(question) => question(connection),
            Err(_) => return,
        }
    }
}
