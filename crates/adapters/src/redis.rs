//! The store of many machines: a namespace in a Redis or Valkey server.
//!
//! Each operation is one script, so that it is one atomic step for everybody; it compares and sets, and knows no rule
//! of a life by name. Heads are flat fields of a hash, bodies are the records of [`longhaul_wire::record`], which no
//! script reads. All keys begin with `lh:{namespace}:`, so that a cluster keeps them on one shard.
//!
//! A write whose answer got lost is sent again: its id, its op, its revision or its token tells the second one from
//! the first.

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
    /// What was found damaged.
    named: NamedDamage,
}

impl RedisStore {
    /// Opens the namespace of a server, which is made if absent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no server, or if it cannot keep what a store promises, with
    /// [`UnsuitableServer`] as the source; [`StoreError::Format`] if the namespace is one of a newer program.
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

    /// Founds the namespace again, which somebody emptied.
    async fn found_anew(&self) -> Result<(), StoreError> {
        opening::found(&self.link).await?;
        self.found_policy().await
    }
}
