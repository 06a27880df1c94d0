//! What an engine is put together from.

use longhaul_domain::{Level, Policy, ResourceLimits, Retention, SilencePolicy, SlotKey, TreeLimits};
use longhaul_ports::{
    Clock, EnvironmentStore, IdSource, LaunchSigner, NodeAdvertisement, NodeDescriptor, OutputLog, Prober,
    Spawner, Store,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The ports of an engine.
#[derive(Clone, Debug)]
pub struct EnginePorts {
    /// Keeps processes.
    pub store: Arc<dyn Store>,
    /// Runs commands.
    pub spawner: Arc<dyn Spawner>,
    /// Reads their output.
    pub output: Arc<dyn OutputLog>,
    /// Finds out whether a command does what it was started for.
    pub prober: Arc<dyn Prober>,
    /// Vouches for launches; [`NoopSigner`](longhaul_ports::NoopSigner) where the store is trusted with them.
    pub notary: Arc<dyn LaunchSigner>,
    /// Keeps captured environments.
    pub vault: Arc<dyn EnvironmentStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids and chance.
    pub ids: Arc<dyn IdSource>,
}

/// The choices of a deployment.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Who this engine is.
    pub node: NodeDescriptor,
    /// What it tells of itself to other nodes; its labels let work come to it.
    pub offer: NodeAdvertisement,
    /// The time between two signs of life, where leases end without them.
    pub lease_renew_interval: Duration,
    /// The most roots that run at once on this node; 0 means no limit.
    pub max_parallel: u32,
    /// The bounds of a tree.
    pub tree: TreeLimits,
    /// The configured limits of the queues. Of these, what is other than at the last start is set, so that what was
    /// changed while running outlives a restart; holds are kept. None leaves all.
    pub policy: Option<Policy>,
    /// Where children reach this manager: their `LONGHAUL_SOCKET`.
    pub socket: Option<String>,
    /// The key of an agent launch that names neither key nor model.
    pub default_key: Option<SlotKey>,
    /// Variables that no child ever gets, because they are secrets of the manager's.
    pub hidden: Vec<String>,
    /// What a command on such a level may use up, where its launch does not say.
    pub level_limits: BTreeMap<Level, ResourceLimits>,
    /// When ended records go by themselves; none keeps them by age and number.
    pub retention: Option<Retention>,
    /// The most bytes of output of ended records: past it the oldest records go.
    pub retention_bytes: Option<u64>,
    /// The most bytes of output in all: past it the output of ended records goes, oldest first, and the records stay.
    pub output_total: Option<u64>,
    /// So many bytes of the end of an output are kept beside the record, where the store is one of many machines; 0 keeps
    /// none.
    pub tail_beside_record: u32,
    /// How long work may be silent before that is told, where its launch does not say; none never tells.
    pub silence: SilencePolicy,
}

impl EngineSettings {
    /// The time between two signs of life unless another is chosen.
    pub const DEFAULT_LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(1);
    /// The bytes of output beside a record unless others are chosen.
    pub const TAIL: u32 = 4_096;

    /// A node by itself with nothing else chosen: 10 roots, default trees, everything kept.
    #[must_use]
    pub fn of(node: NodeDescriptor) -> Self {
        Self {
            node,
            offer: NodeAdvertisement::default(),
            lease_renew_interval: Self::DEFAULT_LEASE_RENEW_INTERVAL,
            max_parallel: 10,
            tree: TreeLimits::default(),
            policy: None,
            level_limits: BTreeMap::new(),
            retention: None,
            retention_bytes: None,
            output_total: None,
            tail_beside_record: Self::TAIL,
            silence: SilencePolicy::default(),
            socket: None,
            default_key: None,
            hidden: Vec::new(),
        }
    }

    /// The most roots, in the words of the store.
    pub(crate) const fn roots(&self) -> u32 {
        if self.max_parallel == 0 { u32::MAX } else { self.max_parallel }
    }
}
