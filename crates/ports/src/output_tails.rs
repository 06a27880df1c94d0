//! Port for storing output tails together with the process records.

use crate::{AttemptKey, Lease, OutputChunk, StoreError};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, ProcessId};
use std::fmt::Debug;

/// Stores the output tail of the latest attempt of a process together with the record of the process. Readers use the
/// tail while the node that has the complete output is unreachable. The tail is deleted with the record.
///
/// A local store need not store tails, because it is on the same machine as the output.
#[async_trait]
pub trait OutputTails: Debug + Send + Sync + 'static {
    /// Stores the output tail of an attempt in place of the previous tail. Returns false if this store does not store
    /// tails, or if the process has had a later attempt.
    ///
    /// # Errors
    /// - [`StoreError::Missing`] if the process is unknown.
    /// - [`StoreError::Fenced`] if the process has an owner with another lease, or if it has no owner and the lease is
    ///   not the newest of its node.
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        let (_, _, _) = (by, key, tail);
        Ok(false)
    }

    /// Returns the output tail of a process, and the attempt that wrote it. Returns `None` if no tail is stored.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        let _ = id;
        Ok(None)
    }
}

/// The last bytes of the output of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputTail {
    /// Size of the complete output in bytes: the offset after the last byte.
    pub total: u64,
    /// Chunks of the tail, in order; the last chunk ends at `total`.
    pub chunks: Vec<OutputChunk>,
}

impl OutputTail {
    /// Returns the offset of the first byte of the tail. For an empty tail, the offset is `total`.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.chunks.first().map_or(self.total, |chunk| chunk.offset)
    }
}
