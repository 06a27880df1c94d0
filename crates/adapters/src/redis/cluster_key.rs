//! Stores the id of the cluster key of a namespace. A node with another key is then refused when it starts, and not
//! only when its launches are rejected. The id is not a security measure.

use super::endpoint::Endpoint;
use super::failure::unavailable;
use super::link::RedisConnection;
use super::script::{KEY, ScriptArgs};
use super::{RedisOptions, RedisStore};
use longhaul_ports::StoreError;

impl RedisStore {
    /// Returns the id of the cluster key that the namespace uses, or `None` if no id is stored yet.
    ///
    /// # Errors
    /// If the request to the server fails.
    pub async fn cluster_key(options: &RedisOptions) -> Result<Option<String>, StoreError> {
        check_consistency(options, "", "").await.map(|known| Some(known).filter(|known| !known.is_empty()))
    }

    /// Stores the id of the `signing` cluster key if the namespace has no id yet, or if it has the id of the `trusted`
    /// key that the signing key replaces. Returns the id that the namespace contains after this call. The returned id
    /// differs from `signing` if the other nodes use another key.
    ///
    /// # Errors
    /// If the request to the server fails.
    pub async fn agree_on_key(
        options: &RedisOptions,
        signing: &str,
        trusted: Option<&str>,
    ) -> Result<String, StoreError> {
        check_consistency(options, signing, trusted.unwrap_or_default()).await
    }
}

async fn check_consistency(
    options: &RedisOptions,
    signing: &str,
    trusted: &str,
) -> Result<String, StoreError> {
    let link = RedisConnection::new(Endpoint::of(options).map_err(unavailable)?, options);
    let mut args = ScriptArgs::default();
    args.text(signing).text(trusted);
    // The script may be sent as a read, because a second run has the same result.
    link.read(&KEY, args).await?.word()
}
