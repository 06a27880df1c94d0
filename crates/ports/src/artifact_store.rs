//! Port for artifacts: files that a command wrote and that are copied when its attempt ends.

use crate::{AttemptKey, BoxedError};
use async_trait::async_trait;
use longhaul_domain::{ArtifactList, ArtifactPattern};
use std::fmt::Debug;
use std::time::Duration;

/// Copies the artifacts of attempts, and reads the copies. The copies are removed together with the output of the
/// process ([`OutputLog::remove`](crate::OutputLog::remove)).
#[async_trait]
pub trait ArtifactStore: Debug + Send + Sync + 'static {
    /// Copies the files that match a pattern, and makes their list durable.
    ///
    /// - Nothing outside the working directory is read, and no symbolic link is followed.
    /// - Files that were changed after the start of the attempt are copied before all others.
    /// - A matching file that is not copied is listed with the reason. It never makes the call fail.
    /// - Only the first call for an attempt copies files. After a crash in the middle of a call, the next call copies
    ///   all files again. Readers see either the complete list or no list.
    ///
    /// # Errors
    /// - [`ArtifactError::Missing`] if the attempt never started.
    /// - [`ArtifactError::Failed`] if the list cannot be stored.
    async fn collect(&self, key: AttemptKey, request: ArtifactRequest) -> Result<(), ArtifactError>;

    /// Returns the artifacts of an attempt. Returns `None` if no call of [`collect`](Self::collect) has copied them
    /// yet.
    ///
    /// # Errors
    /// [`ArtifactError::Failed`] if the list cannot be read.
    async fn list(&self, key: AttemptKey) -> Result<Option<ArtifactList>, ArtifactError>;

    /// Reads at most `limit` bytes of a copied file, starting at offset `from`.
    ///
    /// # Errors
    /// - [`ArtifactError::NotListed`] if the list does not contain a file with this path.
    /// - [`ArtifactError::Failed`] if the copy cannot be read.
    async fn read(
        &self,
        key: AttemptKey,
        path: &str,
        from: u64,
        limit: u32,
    ) -> Result<ArtifactChunk, ArtifactError>;
}

/// Files to copy at the end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRequest {
    /// Absolute path of the working directory.
    pub directory: String,
    /// Patterns of the files.
    pub patterns: Vec<ArtifactPattern>,
    /// Limits on the copies.
    pub limits: ArtifactLimits,
}

/// Limits on the artifacts of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// Maximum number of files.
    pub files: u32,
    /// Maximum size of one file, in bytes.
    pub file_bytes: u64,
    /// Maximum size of all files together, in bytes.
    pub total_bytes: u64,
    /// Maximum time for searching and copying.
    pub time: Duration,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        Self { files: 200, file_bytes: 64 << 20, total_bytes: 256 << 20, time: Duration::from_secs(5) }
    }
}

/// A part of a copied file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactChunk {
    /// Bytes of the part; empty at the end of the file.
    pub bytes: Vec<u8>,
    /// Size of the whole file, in bytes.
    pub size: u64,
}

/// An error while artifacts are copied or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The attempt never started, or its files were removed.
    #[error("attempt {} of process {} has no directory on this node", key.attempt, key.id)]
    Missing {
        /// Attempt whose artifacts were requested.
        key: AttemptKey,
    },
    /// The attempt has no artifact with this path.
    #[error("attempt {} of process {} has no artifact {path:?}", key.attempt, key.id)]
    NotListed {
        /// Attempt whose artifact was requested.
        key: AttemptKey,
        /// Path that was requested.
        path: String,
    },
    /// The artifacts could not be copied or read.
    #[error("the artifacts of attempt {} of process {} could not be {tried}", key.attempt, key.id)]
    Failed {
        /// Attempt whose artifacts were accessed.
        key: AttemptKey,
        /// Failed operation as a past participle for the message, such as `copied`.
        tried: &'static str,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
}

/// An artifact store that copies nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopArtifactStore;

#[async_trait]
impl ArtifactStore for NoopArtifactStore {
    async fn collect(&self, _key: AttemptKey, _request: ArtifactRequest) -> Result<(), ArtifactError> {
        Ok(())
    }

    async fn list(&self, _key: AttemptKey) -> Result<Option<ArtifactList>, ArtifactError> {
        Ok(None)
    }

    async fn read(
        &self,
        key: AttemptKey,
        path: &str,
        _from: u64,
        _limit: u32,
    ) -> Result<ArtifactChunk, ArtifactError> {
        Err(ArtifactError::NotListed { key, path: path.to_owned() })
    }
}
