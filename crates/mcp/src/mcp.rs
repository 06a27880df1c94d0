//! The MCP interface of a manager, as a handle that can be cloned.

use crate::caller::Caller;
use crate::server::Server;
use crate::task::Tasks;
use longhaul_api::Api;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Maximum number of concurrent waits over all connections.
const MAX_WAITS: usize = 4_096;
/// Maximum number of concurrent waits of read-only clients. The rest is reserved for other clients.
const MAX_READER_WAITS: usize = MAX_WAITS / 2;

/// MCP interface of a manager. Clones share their state.
#[derive(Clone, Debug)]
pub struct McpInterface {
    pub(crate) shared: Arc<McpShared>,
}

/// State that all connections share.
#[derive(Debug)]
pub(crate) struct McpShared {
    pub(crate) api: Api,
    pub(crate) tasks: Tasks,
    /// Permits for the concurrent waits of all clients.
    pub(crate) waits: Arc<Semaphore>,
    /// Permits for the concurrent waits of read-only clients. Such a wait also needs a permit from `waits`.
    pub(crate) waits_of_readers: Arc<Semaphore>,
}

impl McpInterface {
    /// Opens the MCP interface of an engine. `state` is the state directory; it contains the secret that signs task
    /// ids.
    ///
    /// # Errors
    /// The secret can be neither read nor created.
    pub fn open(api: Api, state: &Path) -> io::Result<Self> {
        let tasks = Tasks::open(state)?;
        let waits = Arc::new(Semaphore::new(MAX_WAITS));
        let waits_of_readers = Arc::new(Semaphore::new(MAX_READER_WAITS));
        Ok(Self { shared: Arc::new(McpShared { api, tasks, waits, waits_of_readers }) })
    }

    /// Creates the server of one connection.
    pub(crate) fn server(&self, caller: Caller) -> Server {
        Server::new(self.shared.clone(), Arc::new(caller))
    }
}
