//! Port for generating ids and random bits.

use longhaul_domain::{OpId, ProcessId, RandomBits};
use std::fmt::Debug;

/// Generates ids and random bits. Tests use a source with predictable values.
pub trait IdSource: Debug + Send + Sync + 'static {
    /// Returns a unique process id. It is random from its first digit on, so that short prefixes differ.
    fn process(&self) -> ProcessId;

    /// Returns a unique id for one write.
    fn op(&self) -> OpId;

    /// Returns random bits.
    fn chance(&self) -> RandomBits;
}
