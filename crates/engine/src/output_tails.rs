//! The last output of attempts, beside their records: for when the node that has all of it cannot be asked.

use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Deadline, ProcessId};
use longhaul_ports::{AttemptKey, OutputChunk, OutputError, OutputRead, OutputTail, StoreError};
use std::time::Duration;

/// An end is never held up for longer than this by what is kept of its output.
const TAIL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes that are read for a tail at once.
const PIECE: u32 = 64 * 1024;
/// The most pieces of a tail: each costs a head of its own.
const MAX_CHUNKS: usize = 64;

impl Engine {
    /// The last output that is kept beside the record of a process, and of which attempt; none if nothing is.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, EngineError> {
        Ok(self.core.parts.store.load_tail(id).await?)
    }
}

impl EngineShared {
    /// Whether the ends of outputs are kept beside the records.
    pub(crate) fn keeps_tails(&self) -> bool {
        self.settings.tail_beside_record > 0 && self.parts.store.leases_expire()
    }

    /// Keeps the end of the output of an attempt that is over. False if it should be tried again; it never keeps an end
    /// from being told.
    pub(crate) async fn store_tail(&self, key: AttemptKey) -> bool {
        let until = Deadline::At(self.parts.clock.now().plus(TAIL_TIMEOUT));
        let kept = async {
            let tail = match self.tail_of(key).await {
                Ok(tail) if tail.total > 0 => tail,
                Ok(_) | Err(OutputError::Missing { .. }) => return true,
                Err(error) => {
                    tracing::warn!(id = %key.id, %error, "the end of an output is not kept beside its record");
                    return true;
                }
            };
            match self.parts.store.store_tail(&self.lease(), key, &tail).await {
                Ok(_) => true,
                Err(StoreError::Unavailable { .. } | StoreError::Unknown { .. }) => false,
                // Of what this node owns no more, somebody else tells the end.
                Err(error) => {
                    tracing::debug!(id = %key.id, %error, "the end of an output is not kept beside its record");
                    true
                }
            }
        };
        tokio::select! {
            biased;
            kept = kept => kept,
            () = self.parts.clock.sleep_until(until) => {
                tracing::warn!(id = %key.id, "the end of an output is not kept beside its record: that takes too long");
                true
            }
        }
    }

    /// The end of the output of an attempt.
    async fn tail_of(&self, key: AttemptKey) -> Result<OutputTail, OutputError> {
        let output = &self.parts.output;
        let total = output.size(key).await?.end;
        let most = self.settings.tail_beside_record;
        let mut chunks: Vec<OutputChunk> = Vec::new();
        let mut from = total.saturating_sub(most.into());
        while from < total {
            let page = output.read(key, OutputRead { from, most: PIECE, only: None }).await?;
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

/// Puts a piece behind the others; what goes on in the same stream is one piece, so that it costs one head.
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
    fn what_goes_on_is_one_piece() {
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
