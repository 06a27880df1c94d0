//! What an engine is put together from.

use longhaul_domain::{Policy, SlotKey, TreeLimits};
use longhaul_ports::{Clock, IdSource, NodeFacts, OutputLog, Spawner, Store, Vault};
use std::sync::Arc;

/// The ports of an engine.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Keeps processes.
    pub store: Arc<dyn Store>,
    /// Runs commands.
    pub spawner: Arc<dyn Spawner>,
    /// Reads their output.
    pub output: Arc<dyn OutputLog>,
    /// Keeps captured environments.
    pub vault: Arc<dyn Vault>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids and chance.
    pub ids: Arc<dyn IdSource>,
}

/// The choices of a deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this engine is.
    pub node: NodeFacts,
    /// The most roots that run at once on this node; 0 means no limit.
    pub max_parallel: u32,
    /// The bounds of a tree.
    pub tree: TreeLimits,
    /// Set at the start if the store has another one; none leaves the store's.
    pub policy: Option<Policy>,
    /// Where children reach this manager: their `LONGHAUL_SOCKET`.
    pub socket: Option<String>,
    /// The key of an agent launch that names neither key nor model.
    pub default_key: Option<SlotKey>,
    /// Variables that no child ever gets, because they are secrets of the manager's.
    pub hidden: Vec<String>,
}

impl Settings {
    /// The most roots, in the words of the store.
    pub(crate) const fn roots(&self) -> u32 {
        if self.max_parallel == 0 { u32::MAX } else { self.max_parallel }
    }
}
