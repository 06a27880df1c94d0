//! Fakes for those who test an engine: time that a test moves, children that follow a script, a store that fails.
//!
//! All of them are deterministic, and none starts a task or reads a real clock. Run such a test on a runtime of one
//! thread whose time is paused (`#[tokio::test(start_paused = true)]`): then [`VirtualClock::settle`] returns exactly
//! when every other task waits.

mod clock;
mod faults;
mod faulty;
mod faulty_outside;
mod ids;
mod journal;
mod keeping;
mod notary;
mod output;
mod probe;
mod prober;
mod script;
mod senses;
mod spawner;
mod trouble;
mod vault;
mod world;

pub use clock::VirtualClock;
pub use faults::{Call, Fault, Mischief};
pub use faulty::FaultyStore;
pub use faulty_outside::{FaultyOutput, FaultySpawner, FaultyVault};
pub use ids::SequentialIds;
pub use journal::{Act, Entry};
pub use keeping::KeepingStore;
pub use notary::FakeNotary;
pub use output::FakeOutput;
pub use probe::{Heard, ProbeStore};
pub use prober::FakeProber;
pub use script::{Answer, Course, Obedience, Reads, Script};
pub use spawner::ScriptedSpawner;
pub use trouble::Trouble;
pub use vault::FakeVault;

pub(crate) use ids::mix as spread;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A test that panicked while it held the lock has failed already; the others go on.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
