//! Opens, inspects and copies shared stores. A URL identifies each shared store.

use super::CopyableStore;
use crate::config::StoreChoice;
use crate::stores::{StoreContext, Stores};
use longhaul_adapters::outbox::{ForeignOutbox, OutboxOptions, OutboxStore};
use longhaul_adapters::redis::{AclError, Durability, RedisOptions, RedisStore};
use longhaul_engine::ports::{Clock, Membership, Presence, Store, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// File name of the outbox, inside the state directory.
const OUTBOX: &str = "outbox.sqlite";

/// URL schemes of servers that use the Redis protocol.
const SCHEMES: &[&str] = &[
    "redis",
    "redis+unix",
    "valkey",
    "valkey+unix",
    #[cfg(feature = "redis-tls")]
    "rediss",
    #[cfg(feature = "redis-tls")]
    "valkeys",
    #[cfg(feature = "redis-sentinel")]
    "redis+sentinel",
    #[cfg(feature = "redis-cluster")]
    "redis+cluster",
    #[cfg(all(feature = "redis-cluster", feature = "redis-tls"))]
    "rediss+cluster",
];

/// Registers all URL schemes of shared stores. A shared store uses the clock of its server instead of the clock of this
/// machine.
pub(crate) fn add_to(stores: &mut Stores) {
    for scheme in SCHEMES {
        stores.add(scheme, move |StoreContext { rest, .. }| open(format!("{scheme}:{rest}")));
    }
}

/// Returns true if the URL has the scheme of a shared store.
pub(crate) fn knows(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// Returns true if the shared store already has data.
pub(crate) async fn exists(url: &str) -> Result<bool, StoreError> {
    RedisStore::exists(&options(url)?).await
}

/// Returns the id of the cluster key that the nodes of the store use. Returns `None` if no node has registered a key
/// yet.
pub(crate) async fn cluster_key(url: &str) -> Result<Option<String>, StoreError> {
    RedisStore::cluster_key(&options(url)?).await
}

/// Registers the keys of this node in the store. Returns the id of the key that the nodes of the store use.
pub(crate) async fn agree_on_key(
    url: &str,
    signing: &str,
    trusted: Option<&str>,
) -> Result<String, StoreError> {
    RedisStore::agree_on_key(&options(url)?, signing, trusted).await
}

/// Error for a copy to a Redis Cluster. Such a copy is impossible, because renaming the finished copy would move its
/// keys to another shard.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "a store cannot be copied into a Redis Cluster, because the final rename would move the keys to another shard; \
     copy to a single Redis server"
)]
struct CopyToSharedStore;

/// Returns the URL of the draft. The draft is a temporary namespace that receives the copy and is renamed when the copy
/// is complete.
pub(crate) fn draft_of(url: &str) -> Result<String, StoreError> {
    if url.split_once("+cluster:").is_some_and(|(scheme, _)| !scheme.contains('/')) {
        return Err(StoreError::Unavailable { source: CopyToSharedStore.into() });
    }
    let namespace = options(url)?.namespace;
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let others = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("namespace="));
    let draft = format!("namespace={namespace}.copying");
    let query: Vec<&str> = others.chain([draft.as_str()]).collect();
    Ok(format!("{place}?{}", query.join("&")))
}

/// Deletes a store that no node is using. Returns true if the store contained data.
pub(crate) async fn discard(url: &str) -> Result<bool, StoreError> {
    RedisStore::discard(&options(url)?).await
}

/// Renames a finished draft to its final namespace. Returns false if the final namespace already has data.
pub(crate) async fn put_in_place(draft: &str, place: &str) -> Result<bool, StoreError> {
    RedisStore::rename(&options(draft)?, &options(place)?.namespace).await
}

/// Returns advice on an error of a shared store: which permissions the store user lacks, or to which store the user
/// should return. Returns `None` for other errors.
pub(crate) fn allowing(url: &str, error: &StoreError) -> Option<String> {
    let StoreError::Unavailable { source } = error else { return None };
    if let Some(foreign) = source.downcast_ref::<ForeignOutbox>() {
        return Some(foreign.help());
    }
    let denial = source.downcast_ref::<AclError>()?;
    // `url` may be a display form without secrets; the namespace is the same in both forms.
    Some(denial.help(&options(url).ok()?.namespace))
}

/// Opens an existing store for copying. Returns `None` if a node has a lease that has not expired.
pub(crate) async fn movable(url: &str) -> Result<Option<Box<dyn CopyableStore>>, StoreError> {
    let store = RedisStore::open(options(url)?).await?;
    let nodes = store.list_nodes().await?;
    let is_used = nodes.iter().any(|node| matches!(node.presence, Presence::Present { until: Some(_) }));
    Ok((!is_used).then(|| Box::new(store) as Box<dyn CopyableStore>))
}

/// Opens the shared store for a manager, together with the outbox in the manager's state directory.
pub(crate) async fn opened_by_node(
    choice: &StoreChoice,
    url: &str,
    state_dir: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StoreError> {
    let options = options(url)?;
    let kept = OutboxOptions {
        accepts_local_only: options.runs_during_outage,
        ..OutboxOptions::at(choice.to_string())
    };
    let kept = match options.durability {
        // With replicas, the loss of one server loses no acknowledged write. The outbox therefore need not keep the
        // records of ended processes.
        Durability::Replicated { .. } => OutboxOptions { keeps_ended: Duration::ZERO, ..kept },
        Durability::Cache | Durability::Single => kept,
    };
    let outbox = state_dir.join(OUTBOX);
    if !RedisStore::exists(&options).await? {
        OutboxStore::check_unfounded(&outbox, &kept.address)?;
    }
    let store = Arc::new(RedisStore::open(options).await?);
    Ok(Arc::new(OutboxStore::open(store, &outbox, clock.clone(), kept).await?))
}

/// Opens a store that already has data. Returns `None` if it has none.
pub(crate) async fn existing(url: &str) -> Result<Option<Arc<dyn Store>>, StoreError> {
    if exists(url).await? { open(url.to_owned()).await.map(Some) } else { Ok(None) }
}

async fn open(url: String) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(RedisStore::open(options(&url)?).await?))
}

pub(super) fn options(url: &str) -> Result<RedisOptions, StoreError> {
    RedisOptions::of_url(url).map_err(|error| StoreError::Unavailable { source: Box::new(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_is_the_same_place_under_one_other_name() {
        let draft = draft_of("redis://me:secret@host:1/2?namespace=team&durability=cache").unwrap();
        assert_eq!(draft, "redis://me:secret@host:1/2?durability=cache&namespace=team.copying");
        assert_eq!(draft_of("redis://host").unwrap(), "redis://host?namespace=longhaul.copying");
    }
}
