//! The output of attempts.

use crate::AttemptKey;
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Timestamp};
use std::fmt::Debug;

/// Reads the output of attempts. Every byte has an offset that it keeps for ever.
#[async_trait]
pub trait OutputLog: Debug + Send + Sync + 'static {
    /// How much there is, and what was dropped from the middle.
    ///
    /// # Errors
    /// [`OutputError::Missing`] if there is none.
    async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError>;

    /// Where output could not be stored, by offset. What cannot tell where it lost something tells of nothing.
    ///
    /// # Errors
    /// [`OutputError::Missing`] if there is none.
    async fn losses(&self, _key: AttemptKey) -> Result<Vec<Loss>, OutputError> {
        Ok(Vec::new())
    }

    /// At most `wanted.most` bytes from a place on, cut where the stream changes. Bytes that were dropped are skipped
    /// and told as a gap.
    ///
    /// # Errors
    /// [`OutputError::Missing`] if there is none.
    async fn read(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, OutputError>;

    /// The offset at which the last `lines` lines begin; for the chosen stream only if one is chosen. Whoever implements
    /// this may look back over so many bytes only as keep nobody busy for long.
    ///
    /// # Errors
    /// [`OutputError::Missing`] if there is none.
    async fn last_lines(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputStream>,
    ) -> Result<u64, OutputError>;

    /// The offset of the first byte written at or after a moment.
    ///
    /// # Errors
    /// [`OutputError::Missing`] if there is none.
    async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError>;

    /// Parks until there is output beyond an offset. It may return early; whoever waits looks again.
    ///
    /// # Errors
    /// [`OutputError::Missing`] if there is none.
    async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError>;

    /// Where a person finds it.
    fn place(&self, key: AttemptKey) -> OutputLocation;

    /// How many bytes of storage the output of a process takes, so that removing it would give them back; 0 if there is
    /// none.
    ///
    /// # Errors
    /// [`OutputError::Failed`] if that cannot be told.
    async fn size_on_disk(&self, id: ProcessId) -> Result<u64, OutputError>;

    /// The processes of which anything is kept, at most `most` with an id after this one, in the order of their ids.
    ///
    /// # Errors
    /// [`OutputError::Unlisted`] if that cannot be told.
    async fn kept(&self, after: Option<ProcessId>, most: u32) -> Result<Vec<ProcessId>, OutputError>;

    /// Lets go of everything kept for a process, its output included; never while an attempt of it is at work.
    ///
    /// # Errors
    /// [`OutputError::Failed`] if something is left.
    async fn remove(&self, id: ProcessId) -> Result<(), OutputError>;
}

/// Where a person finds the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLocation(pub String);

/// How much output there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSize {
    /// The offset after the last byte.
    pub end: u64,
    /// The first dropped byte and the first one kept after it.
    pub gap: Option<(u64, u64)>,
    /// When the last bytes were read; none if there are none.
    pub last_at: Option<Timestamp>,
}

/// Output that could not be stored, because the disk was full or failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The offset at which it is missing.
    pub offset: u64,
    /// How many bytes are missing there.
    pub bytes: u64,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRead {
    /// From this offset on.
    pub from: u64,
    /// At most so many bytes; 1 to 1 MiB.
    pub most: u32,
    /// Of this stream only.
    pub only: Option<OutputStream>,
}

/// Which stream bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPage {
    /// The pieces, in order.
    pub chunks: Vec<OutputChunk>,
    /// Where to go on.
    pub next: u64,
    /// Bytes that were dropped between `from` and `next`.
    pub gap: u64,
    /// The offset after the last byte there is now.
    pub end: u64,
}

/// Neighbouring bytes of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// The offset of the first.
    pub offset: u64,
    /// Which stream.
    pub source: OutputStream,
    /// When the first was read.
    pub at: Timestamp,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why output cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// There is none: it never ran, or it was swept.
    #[error("attempt {} of {} has no output here", key.attempt, key.id)]
    Missing {
        /// Which.
        key: AttemptKey,
    },
    /// It cannot be told of which processes anything is kept.
    #[error("the stored outputs could not be listed")]
    Unlisted {
        /// Why.
        #[source]
        source: crate::store::BoxedError,
    },
    /// It cannot be read or removed.
    #[error("the output of {id} could not be {tried}")]
    Failed {
        /// Of which process.
        id: ProcessId,
        /// What was tried.
        tried: &'static str,
        /// Why.
        #[source]
        source: crate::store::BoxedError,
    },
}
