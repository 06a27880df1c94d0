//! The ports and settings of an engine.

use crate::test_runs::TestRunSettings;
use longhaul_domain::{Level, Policy, ResourceLimits, Retention, SilencePolicy, SlotKey, TreeLimits};
use longhaul_insight::failure::RuleSet;
use longhaul_ports::{
    ArtifactLimits, ArtifactStore, Clock, EnvironmentStore, IdSource, LaunchSigner, NodeAdvertisement,
    NodeDescriptor, OutputLog, Prober, Spawner, Store,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The ports of an engine.
#[derive(Clone, Debug)]
pub struct EnginePorts {
    /// Stores processes.
    pub store: Arc<dyn Store>,
    /// Runs commands.
    pub spawner: Arc<dyn Spawner>,
    /// Port that reads the output of commands.
    pub output: Arc<dyn OutputLog>,
    /// Port that copies artifacts; [`NoopArtifactStore`](longhaul_ports::NoopArtifactStore) copies none.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Port that runs readiness probes.
    pub prober: Arc<dyn Prober>,
    /// Port that signs launches; [`NoopSigner`](longhaul_ports::NoopSigner) if write access to the store is trusted.
    pub signer: Arc<dyn LaunchSigner>,
    /// Port that stores captured environments.
    pub environments: Arc<dyn EnvironmentStore>,
    /// Port that provides the time.
    pub clock: Arc<dyn Clock>,
    /// Port that generates ids and random numbers.
    pub ids: Arc<dyn IdSource>,
}

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The node that this engine runs.
    pub node: NodeDescriptor,
    /// Properties of this node that it advertises to other nodes. Placements refer to them, for example to labels.
    pub offer: NodeAdvertisement,
    /// Time between two lease renewals, for stores with expiring leases.
    pub lease_renew_interval: Duration,
    /// Maximum number of roots that run on this node at the same time; 0 means no limit.
    pub max_parallel: u32,
    /// Limits on the depth and size of a process tree.
    pub tree: TreeLimits,
    /// Configured limits of the queues. Only limits that differ from the configuration at the last start are written to
    /// the store, so that changes at run time survive a restart. Holds are preserved. `None` changes nothing.
    pub policy: Option<Policy>,
    /// Address at which child processes reach this manager. They receive it as `LONGHAUL_SOCKET`.
    pub socket: Option<String>,
    /// Concurrency key of an agent launch that has neither a key nor a model.
    pub default_key: Option<SlotKey>,
    /// Names of environment variables that are passed to no child, because they contain secrets of the manager.
    pub hidden: Vec<String>,
    /// Resource limits of commands by level. They apply if the launch does not set the limit.
    pub level_limits: BTreeMap<Level, ResourceLimits>,
    /// Maximum age and number of ended records; records beyond these limits are pruned. `None` sets no limits.
    pub retention: Option<Retention>,
    /// Maximum total output of ended records in bytes. If it is exceeded, the oldest records are pruned.
    pub retention_bytes: Option<u64>,
    /// Maximum total output in bytes. If it is exceeded, the output of ended records is deleted, oldest first, but the
    /// records remain.
    pub output_total: Option<u64>,
    /// Maximum size of an output tail in bytes, for shared stores; 0 stores no tails.
    pub output_tail_bytes: u32,
    /// Times of silence after which work is reported as idle or stalled. They apply to launches that do not specify
    /// these times.
    pub silence: SilencePolicy,
    /// Rules that find the first error in the output of a failed command; `None` means the built-in rules.
    pub failure_rules: Option<Arc<RuleSet>>,
    /// Settings of test runs.
    pub test_runs: TestRunSettings,
    /// Limits on the artifacts of one attempt.
    pub artifacts: ArtifactLimits,
}

impl EngineSettings {
    /// Default time between two lease renewals.
    pub const DEFAULT_LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(1);
    /// Default maximum size of an output tail in bytes.
    pub const TAIL: u32 = 4_096;

    /// Returns the default settings of a single node: at most 10 roots, default tree limits, no pruning.
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
            output_tail_bytes: Self::TAIL,
            silence: SilencePolicy::default(),
            failure_rules: None,
            test_runs: TestRunSettings::default(),
            artifacts: ArtifactLimits::default(),
            socket: None,
            default_key: None,
            hidden: Vec::new(),
        }
    }

    /// Returns the maximum number of roots in the form that the store expects: `u32::MAX` means no limit.
    pub(crate) const fn roots(&self) -> u32 {
        if self.max_parallel == 0 { u32::MAX } else { self.max_parallel }
    }
}
