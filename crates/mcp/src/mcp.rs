//! The handle of the face.

use crate::caller::Caller;
use crate::server::Server;
use crate::task::Tasks;
use longhaul_api::Api;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The most waits that are parked at once, over all connections.
const MAX_WAITS: usize = 4_096;
/// The most of them of clients that may only read: they leave room for those who may do more.
const MAX_READER_WAITS: usize = MAX_WAITS / 2;

/// The MCP face of a manager. Clones share it.
#[derive(Clone, Debug)]
pub struct McpInterface {
    pub(crate) shared: Arc<McpShared>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct McpShared {
    pub(crate) api: Api,
    pub(crate) tasks: Tasks,
    /// Room for waits.
    pub(crate) waits: Arc<Semaphore>,
    /// The part of it that is there for clients that may only read.
    pub(crate) waits_of_readers: Arc<Semaphore>,
}

impl McpInterface {
    /// Makes the face of an engine; `state` is the directory that keeps the secret of its task ids.
    ///
    /// # Errors
    /// That secret can neither be read nor made.
    pub fn open(api: Api, state: &Path) -> io::Result<Self> {
        let tasks = Tasks::open(state)?;
        let waits = Arc::new(Semaphore::new(MAX_WAITS));
        let waits_of_readers = Arc::new(Semaphore::new(MAX_READER_WAITS));
        Ok(Self { shared: Arc::new(McpShared { api, tasks, waits, waits_of_readers }) })
    }

    /// The server of one connection.
    pub(crate) fn server(&self, caller: Caller) -> Server {
        Server::new(self.shared.clone(), Arc::new(caller))
    }
}
