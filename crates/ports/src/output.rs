//! Port for reading the output of attempts.

use crate::AttemptKey;
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Timestamp};
use std::fmt::Debug;

/// Reads the stored output of attempts. The offset of a byte never changes.
#[async_trait]
pub trait OutputLog: Debug + Send + Sync + 'static {
    /// Returns the size of an output, and the range that was dropped from the middle of the output.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no output.
    async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError>;

    /// Returns the offsets at which output could not be stored. The default implementation reports no losses.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no output.
    async fn losses(&self, _key: AttemptKey) -> Result<Vec<Loss>, OutputError> {
        Ok(Vec::new())
    }

    /// Reads at most `wanted.limit` bytes from an offset. Consecutive bytes of one stream form one chunk. Dropped bytes
    /// are skipped and counted as a gap.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no output.
    async fn read(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, OutputError>;

    /// Returns the offset at which the last `lines` lines start. If `only` is set, only lines of that stream are
    /// counted. An implementation may limit the part of the output that it searches, so that a call stays short.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no output.
    async fn last_lines(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputStream>,
    ) -> Result<u64, OutputError>;

    /// Returns the offset of the first byte that was written at or after a time.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no output.
    async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError>;

    /// Waits until there is output after an offset. The call may return early, so the caller must check again.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no output.
    async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError>;

    /// Reads the progress file of a command from an offset to the end of the file, but at most the last 64 KiB. The
    /// call may remove bytes from the file after they were read. It never removes bytes that the command writes at the
    /// same time. The default implementation has no progress files.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no progress file.
    async fn read_progress(&self, key: AttemptKey, _from: u64) -> Result<ProgressPage, OutputError> {
        Err(OutputError::Missing { key })
    }

    /// Waits until the size of the progress file differs from an offset. The call may also return earlier, so the
    /// caller must check the size again.
    ///
    /// # Errors
    /// Returns [`OutputError::Missing`] if the attempt has no progress file.
    async fn progress_grown(&self, key: AttemptKey, _beyond: u64) -> Result<(), OutputError> {
        Err(OutputError::Missing { key })
    }

    /// Returns the location of the output, for display to a user.
    fn place(&self, key: AttemptKey) -> OutputLocation;

    /// Returns the number of bytes of storage that would become free if the output of a process were removed; 0 if the
    /// process has no output.
    ///
    /// # Errors
    /// Returns [`OutputError::Failed`] if the size cannot be determined.
    async fn size_on_disk(&self, id: ProcessId) -> Result<u64, OutputError>;

    /// Lists processes that have stored output or other files: at most `limit` processes with an id after `after`, in
    /// the order of their ids.
    ///
    /// # Errors
    /// Returns [`OutputError::Unlisted`] if the processes cannot be listed.
    async fn kept(&self, after: Option<ProcessId>, limit: u32) -> Result<Vec<ProcessId>, OutputError>;

    /// Removes all stored data of a process, including its output and its artifacts.
    ///
    /// # Errors
    /// Returns [`OutputError::Failed`] if an attempt of the process is running or a part of the data could not be
    /// removed.
    async fn remove(&self, id: ProcessId) -> Result<(), OutputError>;
}

/// Location of an output, such as a path, for display to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLocation(pub String);

/// Size of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSize {
    /// Offset after the last byte of the output.
    pub end: u64,
    /// Range that was dropped: the offset of its first byte, and the offset of the first stored byte after it.
    pub gap: Option<(u64, u64)>,
    /// Time at which the last bytes were read from the command; `None` if there is no output.
    pub last_at: Option<Timestamp>,
}

/// A place at which output could not be stored, because the disk was full or failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Offset at which the bytes are missing.
    pub offset: u64,
    /// Number of missing bytes.
    pub bytes: u64,
}

/// The part of an output to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRead {
    /// Offset in the output at which the read starts.
    pub from: u64,
    /// Maximum number of bytes, from 1 to 1 MiB.
    pub limit: u32,
    /// Stream to read; `None` reads standard output and standard error.
    pub only: Option<OutputStream>,
}

/// The stream that bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One page of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPage {
    /// Chunks of the page, in the order of their offsets.
    pub chunks: Vec<OutputChunk>,
    /// Offset from which to read the next page.
    pub next: u64,
    /// Number of bytes that were dropped between `from` and `next`.
    pub gap: u64,
    /// Offset after the last byte of the output at the time of the read.
    pub end: u64,
}

/// A part of a progress file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressPage {
    /// Bytes of the part.
    pub bytes: Vec<u8>,
    /// Offset at which the next part starts.
    pub next: u64,
    /// True if bytes before this part were skipped, so that the part may start within a line.
    pub skipped: bool,
    /// Time at which the command last wrote to the file.
    pub at: Timestamp,
}

/// A chunk of output: consecutive bytes of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// Offset of the first byte of the chunk.
    pub offset: u64,
    /// Stream that the bytes came from.
    pub source: OutputStream,
    /// Time at which the first byte was read from the command.
    pub at: Timestamp,
    /// Bytes of the chunk.
    pub bytes: Vec<u8>,
}

/// An error of reading, listing or removing output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The attempt has no output: it never ran, or its output was pruned.
    #[error("attempt {} of process {} has no output on this node", key.attempt, key.id)]
    Missing {
        /// Attempt whose output was requested.
        key: AttemptKey,
    },
    /// The processes with stored output could not be listed.
    #[error("the stored outputs could not be listed")]
    Unlisted {
        /// Underlying error.
        #[source]
        source: crate::store::BoxedError,
    },
    /// The output of a process could not be read or removed.
    #[error("the output of process {id} could not be {tried}")]
    Failed {
        /// Process whose output was accessed.
        id: ProcessId,
        /// Failed operation as a past participle for the message, such as `read` or `removed`.
        tried: &'static str,
        /// Underlying error.
        #[source]
        source: crate::store::BoxedError,
    },
}
