//! The connections of one store.

use super::connection::{PostgresConnection, PostgresTarget};
use longhaul_ports::StoreError;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of connections that read at the same time.
const MAX_READERS: usize = 8;

/// The connections of one store.
pub(super) struct PostgresPool {
    target: PostgresTarget,
    idle: Mutex<Vec<PostgresConnection>>,
    readers: Arc<Semaphore>,
    /// Writers wait here for their turn, so that they do not each occupy a connection while they wait for the server.
    writer: Arc<Semaphore>,
}

impl PostgresPool {
    pub(super) fn new(target: PostgresTarget) -> Self {
        Self {
            target,
            idle: Mutex::default(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            writer: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) const fn target(&self) -> &PostgresTarget {
        &self.target
    }

    /// Waits until this program has few enough transactions of a kind.
    pub(super) async fn turn(&self, writes: bool) -> Result<OwnedSemaphorePermit, StoreError> {
        let line = if writes { &self.writer } else { &self.readers };
        Arc::clone(line).acquire_owned().await.map_err(super::failure::unavailable)
    }

    /// Returns a connection that was used before, if there is one.
    pub(super) fn idle(&self) -> Option<PostgresConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    pub(super) async fn connect(&self) -> Result<PostgresConnection, StoreError> {
        PostgresConnection::open(&self.target).await
    }

    /// Keeps a connection that has no open transaction.
    pub(super) fn give_back(&self, connection: PostgresConnection) {
        if !connection.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}
