//! New identities and random bits.

use longhaul_domain::{OpId, ProcessId, RandomBits};
use std::fmt::Debug;

/// Draws identities and chance, so that a test can foresee them.
pub trait IdSource: Debug + Send + Sync + 'static {
    /// An id that was never drawn before, random from its first character.
    fn process(&self) -> ProcessId;

    /// An id for one write that was never drawn before.
    fn op(&self) -> OpId;

    /// Random bits.
    fn chance(&self) -> RandomBits;
}
