//! The last output of attempts, beside their records.

use crate::{AttemptKey, Lease, OutputChunk, StoreError};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, ProcessId};
use std::fmt::Debug;

/// Keeps the last output of the latest attempt of a process beside its record, for when the node that has all of it
/// cannot be asked any more. It goes with the record.
///
/// A store of one machine need not keep any: there the output is as near as the record.
#[async_trait]
pub trait OutputTails: Debug + Send + Sync + 'static {
    /// Keeps the last output of an attempt, in the place of what was kept before. False if nothing is kept here, and if
    /// the process has had a later attempt.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Fenced`] as for a commit: if the lease is not that of its owner, or if
    /// nobody owns it and the lease is not the newest of its node.
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        let (_, _, _) = (by, key, tail);
        Ok(false)
    }

    /// What is kept of a process; none if nothing is.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        let _ = id;
        Ok(None)
    }
}

/// The last output of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputTail {
    /// How much output there was in all: the offset after the last byte.
    pub total: u64,
    /// The last pieces, in order; the last one ends at `total`.
    pub chunks: Vec<OutputChunk>,
}

impl OutputTail {
    /// The offset of the first byte that is kept.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.chunks.first().map_or(self.total, |chunk| chunk.offset)
    }
}
