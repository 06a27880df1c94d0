//! A spawner, a vault and an output log that fail when a test says so.

use super::faults::Call;
use super::trouble::{Failed, Trouble};
use async_trait::async_trait;
use longhaul_domain::{
    Capabilities, CommandSpec, EnvironmentHash, ProcessId, Signal, SignalTarget, Timestamp, TreeUsage,
};
use longhaul_ports::{
    AttemptKey, Found, LeaseEnd, Loss, OutputError, OutputLog, OutputPage, OutputPlace, OutputSize,
    OutputSource, Seen, SpawnError, Spawner, StartOrder, StopOrder, TreeLook, Vault, VaultError, Wanted,
};
use std::sync::Arc;

/// A spawner that fails when a test says so, around one that works.
#[derive(Debug)]
pub struct FaultySpawner {
    inner: Arc<dyn Spawner>,
    trouble: Arc<Trouble>,
}

/// A vault that fails when a test says so, around one that works.
#[derive(Debug)]
pub struct FaultyVault {
    inner: Arc<dyn Vault>,
    trouble: Arc<Trouble>,
}

/// An output log that fails when a test says so, around one that works.
#[derive(Debug)]
pub struct FaultyOutput {
    inner: Arc<dyn OutputLog>,
    trouble: Arc<Trouble>,
}

impl FaultySpawner {
    /// A spawner that fails together with the other ports of one life.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn Spawner>, trouble: Arc<Trouble>) -> Self {
        Self { inner, trouble }
    }

    async fn through<T>(
        &self,
        call: Call,
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

    async fn start(&self, order: StartOrder) -> Result<(), SpawnError> {
        self.through(Call::Start, order.key, self.inner.start(order)).await
    }

    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Found, SpawnError> {
        self.through(Call::Adopt, key, self.inner.adopt(key, command)).await
    }

    async fn stop(&self, key: AttemptKey, order: StopOrder) -> Result<(), SpawnError> {
        self.through(Call::Stop, key, self.inner.stop(key, order)).await
    }

    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.through(Call::Halt, key, self.inner.pause(key)).await
    }

    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.through(Call::Halt, key, self.inner.resume(key)).await
    }

    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        self.through(Call::Halt, key, self.inner.signal(key, signal, target)).await
    }

    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError> {
        self.through(Call::Usage, key, self.inner.usage(key)).await
    }

    async fn look(&self, key: AttemptKey) -> Result<TreeLook, SpawnError> {
        self.through(Call::Usage, key, self.inner.look(key)).await
    }

    async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError> {
        self.through(Call::Halt, key, self.inner.write_input(key, bytes, close)).await
    }

    async fn lease_lasts(&self, until: LeaseEnd) {
        // A manager that stands still tells nobody anything.
        self.trouble.surely(Call::Halt, self.inner.lease_lasts(until)).await;
    }

    async fn next(&self) -> Seen {
        self.trouble.surely(Call::Next, self.inner.next()).await
    }

    async fn keeps_end(&self, key: AttemptKey) -> bool {
        let kept = async { Ok(self.inner.keeps_end(key).await) };
        self.through(Call::KeepsEnd, key, kept).await.unwrap_or(false)
    }

    async fn settled(&self, key: AttemptKey) {
        self.trouble.surely(Call::Settled, self.inner.settled(key)).await;
    }
}

impl FaultyVault {
    /// A vault that fails together with the other ports of one life.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn Vault>, trouble: Arc<Trouble>) -> Self {
        Self { inner, trouble }
    }
}

#[async_trait]
impl Vault for FaultyVault {
    async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, VaultError> {
        let error = |failed| VaultError::Failed { tried: "kept", source: says(failed).into() };
        self.trouble.through(Call::Keep, self.inner.keep(variables), error).await
    }

    async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, VaultError> {
        let error = |failed| VaultError::Failed { tried: "opened", source: says(failed).into() };
        self.trouble.through(Call::Open, self.inner.open(hash), error).await
    }
}

impl FaultyOutput {
    /// An output log that fails together with the other ports of one life.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn OutputLog>, trouble: Arc<Trouble>) -> Self {
        Self { inner, trouble }
    }

    async fn through<T>(
        &self,
        call: Call,
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
        self.through(Call::Output, key.id, self.inner.size(key)).await
    }

    async fn losses(&self, key: AttemptKey) -> Result<Vec<Loss>, OutputError> {
        self.through(Call::Output, key.id, self.inner.losses(key)).await
    }

    async fn read(&self, key: AttemptKey, wanted: Wanted) -> Result<OutputPage, OutputError> {
        self.through(Call::Output, key.id, self.inner.read(key, wanted)).await
    }

    async fn last_lines(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputSource>,
    ) -> Result<u64, OutputError> {
        self.through(Call::Output, key.id, self.inner.last_lines(key, lines, only)).await
    }

    async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError> {
        self.through(Call::Output, key.id, self.inner.since(key, moment)).await
    }

    async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        self.through(Call::Output, key.id, self.inner.grown(key, beyond)).await
    }

    fn place(&self, key: AttemptKey) -> OutputPlace {
        self.inner.place(key)
    }

    async fn stored_bytes(&self, id: ProcessId) -> Result<u64, OutputError> {
        self.through(Call::Output, id, self.inner.stored_bytes(id)).await
    }

    async fn kept(&self, after: Option<ProcessId>, most: u32) -> Result<Vec<ProcessId>, OutputError> {
        let error = |failed| OutputError::Unlisted { source: says(failed).into() };
        self.trouble.through(Call::Output, self.inner.kept(after, most), error).await
    }

    async fn remove(&self, id: ProcessId) -> Result<(), OutputError> {
        self.through(Call::Remove, id, self.inner.remove(id)).await
    }
}

fn says(failed: Failed) -> String {
    match failed {
        Failed::Unavailable => "the test says so",
        Failed::Unknown => "the test says so, after it was done",
        Failed::ReadOnly => "the test says so, nothing can be written",
        Failed::Full => "the test says so, there is no room",
    }
    .to_owned()
}
