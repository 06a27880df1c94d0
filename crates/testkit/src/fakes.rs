//! Fakes for tests of an engine: a clock that the test moves, processes that follow a script, a store that fails on
//! demand.
//!
//! All fakes are deterministic; no fake starts a task or reads a real clock. Run a test that uses them on a
//! single-threaded runtime with paused time (`#[tokio::test(start_paused = true)]`). On such a runtime,
//! [`VirtualClock::settle`] returns exactly when every other task is waiting.

mod artifact_store;
mod clock;
mod environment_store;
mod fault_plan;
mod faults;
mod faulty;
mod faulty_ports;
mod ids;
mod io;
mod journal;
mod outbox;
mod output;
mod probe;
mod prober;
mod script;
mod signer;
mod spawner;
mod test_files;
mod world;

pub use artifact_store::FakeArtifactStore;
pub use clock::VirtualClock;
pub use environment_store::FakeEnvironmentStore;
pub use fault_plan::FaultPlan;
pub use faults::{Fault, PortCall, RandomFaults};
pub use faulty::FaultyStore;
pub use faulty_ports::{FaultyEnvironmentStore, FaultyOutput, FaultySpawner};
pub use ids::SequentialIds;
pub use journal::{FakeCall, JournalEntry};
pub use outbox::OutboxFake;
pub use output::FakeOutput;
pub use probe::{CalledMethod, ProbeStore};
pub use prober::FakeProber;
pub use script::{ChildScript, RunBehavior, StartBehavior, StdinBehavior, StopBehavior};
pub use signer::FakeSigner;
pub use spawner::ScriptedSpawner;
pub use test_files::FakeTestFiles;

pub(crate) use ids::mix as spread;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex even if it is poisoned. The test that panicked while it held the lock has already failed, and the
/// other tests must continue.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
