//! Output tails: the last output of each attempt. A tail is stored with the record of the process, so that it can be
//! read while the node with the output cannot be reached.

use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Deadline, ProcessId};
use longhaul_ports::{AttemptKey, OutputChunk, OutputError, OutputRead, OutputTail, StoreError};
use std::time::Duration;

/// Maximum time by which storing the output tail delays the end of an attempt.
const TAIL_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of bytes in one read of a tail.
const PIECE: u32 = 64 * 1024;
/// Maximum number of chunks in a tail. It is limited because each chunk has a header.
const MAX_CHUNKS: usize = 64;

impl Engine {
    /// Returns the stored output tail of a process, with the attempt that wrote it. Returns `None` if no tail is
    /// stored.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, EngineError> {
        Ok(self.core.parts.store.load_tail(id).await?)
    }
}

impl EngineShared {
    /// Returns true if this engine stores output tails.
    pub(crate) fn stores_tails(&self) -> bool {
        self.settings.output_tail_bytes > 0 && self.parts.store.leases_expire()
    }

    /// Stores the output tail of an attempt that has ended. Returns false if the store did not answer and the call
    /// should be repeated. If the tail cannot be stored, the end of the attempt is reported nevertheless.
    pub(crate) async fn store_tail(&self, key: AttemptKey) -> bool {
        let until = Deadline::At(self.parts.clock.now().plus(TAIL_TIMEOUT));
        let kept = async {
            let tail = match self.tail_of(key).await {
                Ok(tail) if tail.total > 0 => tail,
                Ok(_) | Err(OutputError::Missing { .. }) => return true,
                Err(error) => {
                    tracing::warn!(id = %key.id, %error, "could not store the output tail of an attempt");
                    return true;
                }
            };
            match self.parts.store.store_tail(&self.lease(), key, &tail).await {
                Ok(_) => true,
                Err(StoreError::Unavailable { .. } | StoreError::Unknown { .. }) => false,
                // This node does not own the process any more, so another node reports its end.
                Err(error) => {
                    tracing::debug!(id = %key.id, %error, "could not store the output tail of an attempt");
                    true
                }
            }
        };
        tokio::select! {
            biased;
            kept = kept => kept,
            () = self.parts.clock.sleep_until(until) => {
                tracing::warn!(id = %key.id, "could not store the output tail of an attempt: timeout");
                true
            }
        }
    }

    /// Reads the output tail of an attempt.
    async fn tail_of(&self, key: AttemptKey) -> Result<OutputTail, OutputError> {
        let output = &self.parts.output;
        let total = output.size(key).await?.end;
        let limit = self.settings.output_tail_bytes;
        let mut chunks: Vec<OutputChunk> = Vec::new();
        let mut from = total.saturating_sub(limit.into());
        while from < total {
            let page = output.read(key, OutputRead { from, limit: PIECE, only: None }).await?;
            page.chunks.into_iter().for_each(|chunk| append(&mut chunks, chunk));
            if page.next <= from {
                break;
            }
            from = page.next;
        }
        let surplus = chunks.len().saturating_sub(MAX_CHUNKS);
        chunks.drain(..surplus);
        let end = chunks.last().map_or(total, |chunk| chunk.offset.saturating_add(chunk.bytes.len() as u64));
        Ok(OutputTail { total: total.max(end), chunks })
    }
}

/// Appends a chunk. If the chunk continues the last chunk, both are merged, which saves a header.
fn append(chunks: &mut Vec<OutputChunk>, chunk: OutputChunk) {
    match chunks.last_mut() {
        Some(last)
            if last.source == chunk.source
                && last.offset.saturating_add(last.bytes.len() as u64) == chunk.offset =>
        {
            last.bytes.extend_from_slice(&chunk.bytes);
        }
        Some(_) | None => chunks.push(chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Timestamp;
    use longhaul_ports::OutputSource;

    #[test]
    fn contiguous_changes_are_one_range() {
        let chunk = |offset, source, bytes: &[u8]| OutputChunk {
            offset,
            source,
            at: Timestamp(1),
            bytes: bytes.to_vec(),
        };
        let mut chunks = Vec::new();
        append(&mut chunks, chunk(10, OutputSource::Stdout, b"a"));
        append(&mut chunks, chunk(11, OutputSource::Stdout, b"b"));
        append(&mut chunks, chunk(12, OutputSource::Stderr, b"c"));
        append(&mut chunks, chunk(20, OutputSource::Stderr, b"d"));
        let offsets: Vec<_> = chunks.iter().map(|chunk| (chunk.offset, chunk.bytes.as_slice())).collect();
        assert_eq!(offsets, [(10, b"ab".as_slice()), (12, b"c"), (20, b"d")]);
    }
}
