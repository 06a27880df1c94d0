//! Mocks of every port, for a test that says call by call what is asked and what is answered.
//!
//! A fake of [`fakes`](crate::fakes) is the better choice wherever what matters is what comes out in the end.
//!
//! ```
//! use longhaul_ports::IdSource;
//! use longhaul_testkit::mocks::MockIdSource;
//!
//! let mut ids = MockIdSource::new();
//! ids.expect_chance().times(1).returning(|| longhaul_domain::Chance(7));
//! assert_eq!(ids.chance().0, 7);
//! ```
#![expect(missing_docs, reason = "what mockall makes is documented by mockall")]

use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, Awake, Capabilities, Chance, Deadline, EnvironmentHash, NodeId, OpId, Policy, PolicyVersion,
    ProcessId, Retention, Revision, Signal, SignalTarget, SlotKey, Timestamp, TreeUsage, Vitals, Wish,
    WishNo,
};
use longhaul_ports::{
    AttemptKey, Author, Calls, Change, Clock, Cursor, EventLog, EventPage, Filter, Found, IdSource, KeptTail,
    KnownNode, Lease, Listing, Membership, NodeFacts, NodeOffer, OutputError, OutputLog, OutputPage,
    OutputPlace, OutputSize, OutputSource, PageAsk, Parting, ProbeOrder, Prober, ProcessStore, QueueView,
    Queues, Room, Seen, SpawnError, Spawner, StartOrder, StopOrder, StoreError, Stored, Submission,
    Submitted, Swept, Tails, TreeLook, Upkeep, Vault, VaultError, WallTime, Wanted,
};
use std::time::Duration;

mockall::mock! {
    /// A store: all six traits, as one value has to implement them.
    ///
    /// What is expected of the queues takes the key by value, as a mock cannot keep a reference within an option.
    #[derive(Debug)]
    pub Store {
        pub fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError>;
        pub fn set_policy(
            &self,
            expected: PolicyVersion,
            policy: &Policy,
        ) -> Result<PolicyVersion, StoreError>;
        pub fn queues(&self, only: Option<SlotKey>) -> Result<Vec<QueueView>, StoreError>;
    }

    #[async_trait]
    impl ProcessStore for Store {
        async fn submit(&self, new: Submission) -> Result<Submitted, StoreError>;
        async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError>;
        async fn commit(&self, change: Change) -> Result<Revision, StoreError>;
        async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError>;
        async fn touch(
            &self,
            by: &Author,
            vitals: &[(ProcessId, AttemptNo, Vitals)],
        ) -> Result<Vec<Result<(), StoreError>>, StoreError>;
        async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError>;
        async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError>;
    }

    #[async_trait]
    impl Upkeep for Store {
        async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError>;
        async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError>;
    }

    #[async_trait]
    impl EventLog for Store {
        async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError>;
        async fn end(&self) -> Result<Cursor, StoreError>;
    }

    #[async_trait]
    impl Membership for Store {
        async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError>;
        async fn beat(&self, by: &Lease) -> Result<Calls, StoreError>;
        async fn called(&self, by: &Lease) -> Result<Calls, StoreError>;
        async fn leave(&self, by: &Lease) -> Result<(), StoreError>;
        async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError>;
        async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError>;
        async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError>;
        async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError>;
        async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError>;
    }

    #[async_trait]
    impl Tails for Store {
        async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError>;
        async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError>;
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

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        Self::queues(self, only.cloned())
    }
}

mockall::mock! {
    /// A spawner.
    #[derive(Debug)]
    pub Spawner {}

    #[async_trait]
    impl Spawner for Spawner {
        fn capabilities(&self) -> Capabilities;
        async fn start(&self, order: StartOrder) -> Result<(), SpawnError>;
        async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Found, SpawnError>;
        async fn stop(&self, key: AttemptKey, order: StopOrder) -> Result<(), SpawnError>;
        async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError>;
        async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError>;
        async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError>;
        async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError>;
        async fn look(&self, key: AttemptKey) -> Result<TreeLook, SpawnError>;
        async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError>;
        async fn next(&self) -> Seen;
        async fn settled(&self, key: AttemptKey);
    }
}

mockall::mock! {
    /// A prober.
    #[derive(Debug)]
    pub Prober {}

    #[async_trait]
    impl Prober for Prober {
        async fn answers(&self, url: &str, patience: Duration) -> bool;
        async fn succeeds(&self, order: ProbeOrder, patience: Duration) -> bool;
    }
}

mockall::mock! {
    /// An output log.
    #[derive(Debug)]
    pub OutputLog {}

    #[async_trait]
    impl OutputLog for OutputLog {
        async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError>;
        async fn read(&self, key: AttemptKey, wanted: Wanted) -> Result<OutputPage, OutputError>;
        async fn last_lines(
            &self,
            key: AttemptKey,
            lines: u32,
            only: Option<OutputSource>,
        ) -> Result<u64, OutputError>;
        async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError>;
        async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError>;
        fn place(&self, key: AttemptKey) -> OutputPlace;
        async fn stored_bytes(&self, id: ProcessId) -> Result<u64, OutputError>;
        async fn kept(&self, after: Option<ProcessId>, most: u32) -> Result<Vec<ProcessId>, OutputError>;
        async fn remove(&self, id: ProcessId) -> Result<(), OutputError>;
    }
}

mockall::mock! {
    /// A vault.
    #[derive(Debug)]
    pub Vault {}

    #[async_trait]
    impl Vault for Vault {
        async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, VaultError>;
        async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, VaultError>;
    }
}

mockall::mock! {
    /// A clock.
    #[derive(Debug)]
    pub Clock {}

    #[async_trait]
    impl Clock for Clock {
        fn now(&self) -> Timestamp;
        fn awake(&self) -> Awake;
        fn wall(&self) -> WallTime;
        async fn sleep_until(&self, deadline: Deadline);
    }
}

mockall::mock! {
    /// A source of identities.
    #[derive(Debug)]
    pub IdSource {}

    impl IdSource for IdSource {
        fn process(&self) -> ProcessId;
        fn op(&self) -> OpId;
        fn chance(&self) -> Chance;
    }
}
