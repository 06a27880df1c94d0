//! A store for many nodes: a namespace in a Redis or Valkey server.
//!
//! Each operation is one Lua script and therefore atomic. Scripts compare and set values; they contain no rule about
//! the states of a process. The header of a process is stored as flat fields of a hash. The bodies are the records of
//! [`longhaul_wire::record`], which no script parses. All keys start with `lh:{namespace}:`, so that a Redis cluster
//! stores them on one shard.
//!
//! If the answer to a write is lost, the write is sent again. The script recognises the repeated write by its process
//! id, operation id, revision or token.

mod acl;
mod acl_error;
mod class;
mod cluster_key;
mod codec;
#[cfg(feature = "decoders")]
pub mod decoders;
mod desync;
mod durability;
mod durability_check;
mod endpoint;
mod events;
mod examination;
mod failure;
mod history_guard;
mod link;
mod list;
mod maintenance;
mod membership;
mod migrate;
mod namespace;
mod node;
mod node_settings;
mod notifications;
mod opening;
mod options;
mod outage;
mod output_tails;
mod process;
mod queues;
mod replicated;
mod reply;
mod request;
mod restore;
mod run_id;
mod script;
mod server;
#[cfg(feature = "redis-cluster")]
mod shards;
mod submit;
mod tls;
mod token;
mod unsuitable;
mod url;

pub use acl_error::AclError;
pub use durability::{Durability, UnknownDurability};
#[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
pub use endpoint::UnguardedFailover;
pub use examination::{ClockSkew, NamespaceState, RoundTrips, ServerCheck};
pub use node_settings::NodeSettings;
pub use options::{LeaseTimes, RedisOptions, RedisTlsFiles, TlsClient};
pub use server::{ServerInfo, SyncPolicy};
pub use tls::TlsFault;
pub use unsuitable::UnsuitableServer;
pub use url::RedisUrlError;

use crate::damage::NamedDamage;
use endpoint::Endpoint;
use link::RedisConnection;
use longhaul_ports::StoreError;
use membership::ConsumedUpdates;
use notifications::NotificationListener;
use replicated::ReplicatedClaims;
use std::sync::Arc;

/// A store in a Redis server.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<RedisConnection>,
    leases: Option<LeaseTimes>,
    node_settings: String,
    taken_in: ConsumedUpdates,
    notifications: NotificationListener,
    replicated: ReplicatedClaims,
    /// Damaged entries that are already logged.
    named: NamedDamage,
}

impl RedisStore {
    /// Opens a namespace on a server. Creates the namespace if it does not exist.
    ///
    /// # Errors
    /// - [`StoreError::Unavailable`] if the server cannot be reached. If the server cannot guarantee the configured
    ///   durability, the source of the error is [`UnsuitableServer`].
    /// - [`StoreError::Format`] if a newer program wrote the namespace.
    pub async fn open(options: RedisOptions) -> Result<Self, StoreError> {
        let endpoint = Endpoint::of(&options).map_err(failure::unavailable)?;
        let link = Arc::new(RedisConnection::new(endpoint, &options));
        opening::check(&link).await?;
        link.load_scripts().await?;
        opening::found(&link).await?;
        let store = Self {
            leases: options.leases,
            node_settings: options.terms(),
            taken_in: ConsumedUpdates::default(),
            notifications: NotificationListener::start(Arc::clone(&link)),
            replicated: ReplicatedClaims::default(),
            named: NamedDamage::default(),
            link,
        };
        store.found_policy().await?;
        Ok(store)
    }

    /// Creates the namespace again after it was deleted.
    async fn create_namespace(&self) -> Result<(), StoreError> {
        opening::found(&self.link).await?;
        self.found_policy().await
    }
}
