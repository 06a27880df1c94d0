//! The store of many machines: a namespace in a Redis or Valkey server.
//!
//! Each operation is one script, so that it is one atomic step for everybody; it compares and sets, and knows no rule
//! of a life by name. Heads are flat fields of a hash, bodies are the records of [`longhaul_wire::record`], which no
//! script reads. All keys begin with `lh:{namespace}:`, so that a cluster keeps them on one shard.
//!
//! A write whose answer got lost is sent again: its id, its op, its revision or its token tells the second one from
//! the first.

mod acknowledged;
mod class;
mod cluster_key;
mod codec;
#[cfg(feature = "decoders")]
pub mod decoders;
mod denial;
mod durability;
mod events;
mod examination;
mod failure;
mod link;
mod list;
mod listening;
mod membership;
mod migrate;
mod namespace;
mod node;
mod opening;
mod options;
mod past;
mod place;
mod process;
mod promise;
mod queues;
mod reply;
mod restore;
mod rights;
mod run;
mod script;
mod server;
#[cfg(feature = "redis-cluster")]
mod shards;
mod silence;
mod step;
mod submit;
mod tails;
mod terms;
mod tls;
mod token;
mod unsuitable;
mod upkeep;
mod url;

pub use denial::Denial;
pub use durability::{Durability, UnknownDurability};
pub use examination::{Examination, NamespaceFacts, RoundTrips, Skew};
pub use options::{LeaseTimes, RedisOptions, TlsClient, TlsFiles};
#[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
pub use place::UnguardedFailover;
pub use server::{ServerFacts, Syncing};
pub use terms::NodeTerms;
pub use tls::TlsFault;
pub use unsuitable::Unsuitable;
pub use url::RedisUrlError;

use crate::damage::Named;
use acknowledged::Acknowledged;
use link::Link;
use listening::Listening;
use longhaul_ports::StoreError;
use membership::TakenIn;
use place::Place;
use std::sync::Arc;

/// A store in a Redis server.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<Link>,
    leases: Option<LeaseTimes>,
    terms: String,
    taken_in: TakenIn,
    listening: Listening,
    acknowledged: Acknowledged,
    /// What was found damaged.
    named: Named,
}

impl RedisStore {
    /// Opens the namespace of a server, which is made if absent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no server, or if it cannot keep what a store promises, with
    /// [`Unsuitable`] as the source; [`StoreError::Format`] if the namespace is one of a newer program.
    pub async fn open(options: RedisOptions) -> Result<Self, StoreError> {
        let place = Place::of(&options).map_err(failure::unavailable)?;
        let link = Arc::new(Link::new(place, &options));
        opening::check(&link).await?;
        link.load_scripts().await?;
        opening::found(&link).await?;
        let store = Self {
            leases: options.leases,
            terms: options.terms(),
            taken_in: TakenIn::default(),
            listening: Listening::start(Arc::clone(&link)),
            acknowledged: Acknowledged::default(),
            named: Named::default(),
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
