//! Captured environments, kept on the node outside every store.

use crate::store::BoxedError;
use async_trait::async_trait;
use longhaul_domain::EnvironmentHash;
use std::fmt::Debug;

/// Keeps each distinct environment once, by content hash.
#[async_trait]
pub trait EnvironmentStore: Debug + Send + Sync + 'static {
    /// Keeps an environment, durably on return; the same variables give the same hash, whatever their order.
    ///
    /// # Errors
    /// [`EnvironmentStoreError::Failed`] if it could not be made durable.
    async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, EnvironmentStoreError>;

    /// The environment of a hash, sorted by name.
    ///
    /// # Errors
    /// [`EnvironmentStoreError::Missing`] if this node does not have it, [`EnvironmentStoreError::Unusable`] if what it has is damaged or may not be
    /// read, [`EnvironmentStoreError::Failed`] if it may be readable in a moment.
    async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError>;
}

/// Why an environment could not be kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentStoreError {
    /// This node does not have it.
    #[error(
        "the environment that was captured at the launch is not in the environment store of this node (hash {}); a new launch captures \
         its own",
        hash.0
    )]
    Missing {
        /// Its hash.
        hash: EnvironmentHash,
    },
    /// What is kept of it is damaged, or may not be read; waiting mends nothing.
    #[error(
        "the captured environment cannot be used ({why}, hash {}); a new launch with the same variables writes it again",
        hash.0
    )]
    Unusable {
        /// Its hash.
        hash: EnvironmentHash,
        /// Why.
        why: String,
    },
    /// It could not be written, or could not be read for now.
    #[error("the captured environment could not be {tried}")]
    Failed {
        /// What was tried.
        tried: &'static str,
        /// Why.
        #[source]
        source: BoxedError,
    },
}
