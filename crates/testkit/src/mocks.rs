//! Mocks of every port, for tests that specify each expected call and its answer.
//!
//! For a test that checks only a final result, a fake from [`fakes`](crate::fakes) is the better choice.
//!
//! ```
//! use longhaul_ports::IdSource;
//! use longhaul_testkit::mocks::MockIdSource;
//!
//! let mut ids = MockIdSource::new();
//! ids.expect_chance().times(1).returning(|| longhaul_domain::RandomBits(7));
//! assert_eq!(ids.chance().0, 7);
//! ```
#![expect(missing_docs, reason = "what mockall makes is documented by mockall")]

use async_trait::async_trait;
use longhaul_domain::{
    ActionSeq, AttemptNo, AwakeTime, Capabilities, CommandSpec, Deadline, EnvironmentHash, LiveStats, NodeId,
    OpId, PendingAction, Policy, PolicyVersion, ProcessId, RandomBits, Retention, Revision, Signal,
    SignalTarget, SlotKey, Timestamp, TreeUsage,
};
use longhaul_ports::{
    Adopted, AttemptKey, Change, ClaimCapacity, Clock, EnvironmentStore, EnvironmentStoreError, EventCursor,
    EventLog, EventPage, ForgetOutcome, IdSource, KnownNode, Lease, Listing, Maintenance, Membership,
    NodeAdvertisement, NodeDescriptor, NodeUpdates, OutputError, OutputLocation, OutputLog, OutputPage,
    OutputRead, OutputSize, OutputSource, OutputTail, OutputTails, PageRequest, ProbeCommand, Prober,
    ProcessFilter, ProcessStore, PrunedBatch, QueueState, Queues, SpawnError, Spawner, SpawnerEvent,
    StartRequest, StopRequest, StoreError, StoredProcess, Submission, SubmitOutcome, TreeSnapshot, WallTime,
    Writer,
};
use std::time::Duration;

mockall::mock! {
    /// Mock of a store. A single mock implements all store traits.
    ///
    /// Expectations for `queues` take the key by value, because mockall cannot store a reference inside an `Option`.
    #[derive(Debug)]
    pub Store {
        pub fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError>;
        pub fn set_policy(
            &self,
            expected: PolicyVersion,
            policy: &Policy,
        ) -> Result<PolicyVersion, StoreError>;
        pub fn queues(&self, only: Option<SlotKey>) -> Result<Vec<QueueState>, StoreError>;
    }

    #[async_trait]
    impl ProcessStore for Store {
        async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError>;
        async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError>;
        async fn commit(&self, change: Change) -> Result<Revision, StoreError>;
        async fn enqueue_action(&self, id: &ProcessId, op: OpId, action: PendingAction) -> Result<ActionSeq, StoreError>;
        async fn update_live_stats(
            &self,
            by: &Writer,
            live_stats: &[(ProcessId, AttemptNo, LiveStats)],
        ) -> Result<Vec<Result<(), StoreError>>, StoreError>;
        async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError>;
        async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError>;
    }

    #[async_trait]
    impl Maintenance for Store {
        async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError>;
        async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError>;
    }

    #[async_trait]
    impl EventLog for Store {
        async fn read(&self, after: Option<EventCursor>, limit: u32, wait: bool) -> Result<EventPage, StoreError>;
        async fn end(&self) -> Result<EventCursor, StoreError>;
    }

    #[async_trait]
    impl Membership for Store {
        async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError>;
        async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError>;
        async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError>;
        async fn leave(&self, by: &Lease) -> Result<(), StoreError>;
        async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError>;
        async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError>;
        async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError>;
        async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError>;
        async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError>;
    }

    #[async_trait]
    impl OutputTails for Store {
        async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError>;
        async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError>;
    }
}

#[async_trait]
impl Queues for MockStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        Self::policy(self)
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        Self::set_policy(self, expected, policy)
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        Self::queues(self, only.cloned())
    }
}

mockall::mock! {
    /// Mock of a spawner.
    #[derive(Debug)]
    pub Spawner {}

    #[async_trait]
    impl Spawner for Spawner {
        fn capabilities(&self) -> Capabilities;
        async fn start(&self, order: StartRequest) -> Result<(), SpawnError>;
        async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Adopted, SpawnError>;
        async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError>;
        async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError>;
        async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError>;
        async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError>;
        async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError>;
        async fn inspect(&self, key: AttemptKey) -> Result<TreeSnapshot, SpawnError>;
        async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError>;
        async fn next(&self) -> SpawnerEvent;
        async fn end_recorded(&self, key: AttemptKey);
    }
}

mockall::mock! {
    /// Mock of a prober.
    #[derive(Debug)]
    pub Prober {}

    #[async_trait]
    impl Prober for Prober {
        async fn answers(&self, url: &str, time_limit: Duration) -> bool;
        async fn succeeds(&self, order: ProbeCommand, time_limit: Duration) -> bool;
    }
}

mockall::mock! {
    /// Mock of an output log.
    #[derive(Debug)]
    pub OutputLog {}

    #[async_trait]
    impl OutputLog for OutputLog {
        async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError>;
        async fn read(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, OutputError>;
        async fn last_lines(
            &self,
            key: AttemptKey,
            lines: u32,
            only: Option<OutputSource>,
        ) -> Result<u64, OutputError>;
        async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError>;
        async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError>;
        fn place(&self, key: AttemptKey) -> OutputLocation;
        async fn size_on_disk(&self, id: ProcessId) -> Result<u64, OutputError>;
        async fn kept(&self, after: Option<ProcessId>, limit: u32) -> Result<Vec<ProcessId>, OutputError>;
        async fn remove(&self, id: ProcessId) -> Result<(), OutputError>;
    }
}

mockall::mock! {
    /// Mock of an environment store.
    #[derive(Debug)]
    pub EnvironmentStore {}

    #[async_trait]
    impl EnvironmentStore for EnvironmentStore {
        async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, EnvironmentStoreError>;
        async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError>;
    }
}

mockall::mock! {
    /// Mock of a clock.
    #[derive(Debug)]
    pub Clock {}

    #[async_trait]
    impl Clock for Clock {
        fn now(&self) -> Timestamp;
        fn awake(&self) -> AwakeTime;
        fn wall(&self) -> WallTime;
        async fn sleep_until(&self, deadline: Deadline);
    }
}

mockall::mock! {
    /// Mock of an id source.
    #[derive(Debug)]
    pub IdSource {}

    impl IdSource for IdSource {
        fn process(&self) -> ProcessId;
        fn op(&self) -> OpId;
        fn chance(&self) -> RandomBits;
    }
}
