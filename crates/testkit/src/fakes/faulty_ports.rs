//! A spawner, an environment store and an output log that fail on demand.

use super::fault_plan::{CallFailure, FaultPlan};
use super::faults::PortCall;
use async_trait::async_trait;
use longhaul_domain::{
    Capabilities, CommandSpec, EnvironmentHash, PortHolder, ProcessId, Signal, SignalTarget, Timestamp,
    TreeUsage,
};
use longhaul_ports::{
    Adopted, AttemptKey, EnvironmentStore, EnvironmentStoreError, LeaseEnd, Loss, OutputError,
    OutputLocation, OutputLog, OutputPage, OutputRead, OutputSize, OutputSource, ProgressPage, SpawnError,
    Spawner, SpawnerEvent, StartRequest, StopRequest, TreeSnapshot,
};
use std::net::IpAddr;
use std::sync::Arc;

/// A spawner that fails on demand. It wraps a working spawner.
#[derive(Debug)]
pub struct FaultySpawner {
    inner: Arc<dyn Spawner>,
    trouble: Arc<FaultPlan>,
}

/// An environment store that fails on demand. It wraps a working environment store.
#[derive(Debug)]
pub struct FaultyEnvironmentStore {
    inner: Arc<dyn EnvironmentStore>,
    trouble: Arc<FaultPlan>,
}

/// An output log that fails on demand. It wraps a working output log.
#[derive(Debug)]
pub struct FaultyOutput {
    inner: Arc<dyn OutputLog>,
    trouble: Arc<FaultPlan>,
}

impl FaultySpawner {
    /// Wraps a spawner with a fault plan that the other ports of the same engine share.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn Spawner>, trouble: Arc<FaultPlan>) -> Self {
        Self { inner, trouble }
    }

    async fn through<T>(
        &self,
        call: PortCall,
        key: AttemptKey,
        work: impl Future<Output = Result<T, SpawnError>> + Send,
    ) -> Result<T, SpawnError> {
        let error = |failed| SpawnError::Unreachable { key, what: says(failed) };
        self.trouble.through(call, work, error).await
    }
}

#[async_trait]
impl Spawner for FaultySpawner {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn start(&self, order: StartRequest) -> Result<(), SpawnError> {
        self.through(PortCall::Start, order.key, self.inner.start(order)).await
    }

    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Adopted, SpawnError> {
        self.through(PortCall::Adopt, key, self.inner.adopt(key, command)).await
    }

    async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError> {
        self.through(PortCall::Stop, key, self.inner.stop(key, order)).await
    }

    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.through(PortCall::Halt, key, self.inner.pause(key)).await
    }

    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.through(PortCall::Halt, key, self.inner.resume(key)).await
    }

    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        self.through(PortCall::Halt, key, self.inner.signal(key, signal, target)).await
    }

    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError> {
        self.through(PortCall::Usage, key, self.inner.usage(key)).await
    }

    async fn inspect(&self, key: AttemptKey) -> Result<TreeSnapshot, SpawnError> {
        self.through(PortCall::Usage, key, self.inner.inspect(key)).await
    }

    async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError> {
        self.through(PortCall::Halt, key, self.inner.write_input(key, bytes, close)).await
    }

    async fn port_holder(&self, port: u16, addresses: &[IpAddr]) -> Option<PortHolder> {
        self.inner.port_holder(port, addresses).await
    }

    async fn set_lease_end(&self, until: LeaseEnd) {
        // A frozen manager cannot report the end of its lease, so a freeze delays this call too.
        self.trouble.surely(PortCall::Halt, self.inner.set_lease_end(until)).await;
    }

    async fn next(&self) -> SpawnerEvent {
        self.trouble.surely(PortCall::Next, self.inner.next()).await
    }

    async fn exit_is_durable(&self, key: AttemptKey) -> bool {
        let kept = async { Ok(self.inner.exit_is_durable(key).await) };
        self.through(PortCall::KeepsEnd, key, kept).await.unwrap_or(false)
    }

    async fn end_recorded(&self, key: AttemptKey) {
        self.trouble.surely(PortCall::Settled, self.inner.end_recorded(key)).await;
    }
}

impl FaultyEnvironmentStore {
    /// Wraps an environment store with a fault plan that the other ports of the same engine share.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn EnvironmentStore>, trouble: Arc<FaultPlan>) -> Self {
        Self { inner, trouble }
    }
}

#[async_trait]
impl EnvironmentStore for FaultyEnvironmentStore {
    async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, EnvironmentStoreError> {
        let error = |failed| EnvironmentStoreError::Failed { tried: "kept", source: says(failed).into() };
        self.trouble.through(PortCall::Keep, self.inner.keep(variables), error).await
    }

    async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError> {
        let error = |failed| EnvironmentStoreError::Failed { tried: "opened", source: says(failed).into() };
        self.trouble.through(PortCall::Open, self.inner.open(hash), error).await
    }
}

impl FaultyOutput {
    /// Wraps an output log with a fault plan that the other ports of the same engine share.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn OutputLog>, trouble: Arc<FaultPlan>) -> Self {
        Self { inner, trouble }
    }

    async fn through<T>(
        &self,
        call: PortCall,
        id: ProcessId,
        work: impl Future<Output = Result<T, OutputError>> + Send,
    ) -> Result<T, OutputError> {
        let tried = if call.writes() { "removed" } else { "read" };
        let error = |failed| OutputError::Failed { id, tried, source: says(failed).into() };
        self.trouble.through(call, work, error).await
    }
}

#[async_trait]
impl OutputLog for FaultyOutput {
    async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError> {
        self.through(PortCall::Output, key.id, self.inner.size(key)).await
    }

    async fn losses(&self, key: AttemptKey) -> Result<Vec<Loss>, OutputError> {
        self.through(PortCall::Output, key.id, self.inner.losses(key)).await
    }

    async fn read(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, OutputError> {
        self.through(PortCall::Output, key.id, self.inner.read(key, wanted)).await
    }

    async fn last_lines(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputSource>,
    ) -> Result<u64, OutputError> {
        self.through(PortCall::Output, key.id, self.inner.last_lines(key, lines, only)).await
    }

    async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError> {
        self.through(PortCall::Output, key.id, self.inner.since(key, moment)).await
    }

    async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        self.through(PortCall::Output, key.id, self.inner.grown(key, beyond)).await
    }

    async fn read_progress(&self, key: AttemptKey, from: u64) -> Result<ProgressPage, OutputError> {
        self.through(PortCall::Output, key.id, self.inner.read_progress(key, from)).await
    }

    async fn progress_grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        self.through(PortCall::Output, key.id, self.inner.progress_grown(key, beyond)).await
    }

    fn place(&self, key: AttemptKey) -> OutputLocation {
        self.inner.place(key)
    }

    async fn size_on_disk(&self, id: ProcessId) -> Result<u64, OutputError> {
        self.through(PortCall::Output, id, self.inner.size_on_disk(id)).await
    }

    async fn kept(&self, after: Option<ProcessId>, limit: u32) -> Result<Vec<ProcessId>, OutputError> {
        let error = |failed| OutputError::Unlisted { source: says(failed).into() };
        self.trouble.through(PortCall::Output, self.inner.kept(after, limit), error).await
    }

    async fn remove(&self, id: ProcessId) -> Result<(), OutputError> {
        self.through(PortCall::Remove, id, self.inner.remove(id)).await
    }
}

fn says(failed: CallFailure) -> String {
    match failed {
        CallFailure::Unavailable => "the test says so",
        CallFailure::Unknown => "the test says so, after it was done",
        CallFailure::ReadOnly => "the test says so, nothing can be written",
        CallFailure::Full => "the test says so, there is no room",
    }
    .to_owned()
}
