//! Which cluster key a namespace uses, by its id: so that a node with another one is told so when it starts, and not by
//! launches that are refused later. Nothing is trusted because of it.

use super::endpoint::Endpoint;
use super::failure::unavailable;
use super::link::RedisConnection;
use super::script::{KEY, ScriptArgs};
use super::{RedisOptions, RedisStore};
use longhaul_ports::StoreError;

impl RedisStore {
    /// The id of the cluster key that the namespace uses; none if it was never told.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn cluster_key(options: &RedisOptions) -> Result<Option<String>, StoreError> {
        check_consistency(options, "", "").await.map(|known| Some(known).filter(|known| !known.is_empty()))
    }

    /// Tells the namespace the id of the cluster key that signs, and of one that it takes the place of. Answers which
    /// one it uses: another one than was told if its nodes have other keys.
    ///
    /// # Errors
    /// If the server cannot be asked.
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
    // Sent again it says the same.
    link.read(&KEY, args).await?.word()
}
