//! Port for captured environments. Each node stores them itself; they are not part of the process store.

use crate::store::BoxedError;
use async_trait::async_trait;
use longhaul_domain::EnvironmentHash;
use std::fmt::Debug;

/// Stores each distinct environment once, under the hash of its content.
#[async_trait]
pub trait EnvironmentStore: Debug + Send + Sync + 'static {
    /// Stores an environment durably and returns its hash. The hash does not depend on the order of the variables.
    ///
    /// # Errors
    /// Returns [`EnvironmentStoreError::Failed`] if the environment could not be stored durably.
    async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, EnvironmentStoreError>;

    /// Returns the variables of the environment with this hash, sorted by name.
    ///
    /// # Errors
    /// - [`EnvironmentStoreError::Missing`] if this node does not have the environment.
    /// - [`EnvironmentStoreError::Unusable`] if the stored data is damaged or its permissions forbid reading.
    /// - [`EnvironmentStoreError::Failed`] for a temporary failure.
    async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError>;
}

/// An error of storing or loading an environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentStoreError {
    /// This node does not have the environment.
    #[error(
        "the environment that was captured at the launch is not in the environment store of this node (hash {}); \
         launch the command again to capture a new one",
        hash.0
    )]
    Missing {
        /// Hash of the environment.
        hash: EnvironmentHash,
    },
    /// The stored environment is damaged, or its permissions forbid reading; a later attempt cannot succeed.
    #[error(
        "the captured environment cannot be used ({why}, hash {}); a new launch with the same variables stores it \
         again",
        hash.0
    )]
    Unusable {
        /// Hash of the environment.
        hash: EnvironmentHash,
        /// Description of the problem.
        why: String,
    },
    /// The environment could not be written, or cannot be read at the moment.
    #[error("the captured environment could not be {tried}")]
    Failed {
        /// Failed operation as a past participle for the message, such as `read`.
        tried: &'static str,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
}
