//! The store of many machines, by its URL.

use super::CopyableStore;
use crate::config::StoreChoice;
use crate::stores::{StoreContext, Stores};
use longhaul_adapters::outbox::{ForeignOutbox, OutboxOptions, OutboxStore};
use longhaul_adapters::redis::{AclError, Durability, RedisOptions, RedisStore};
use longhaul_adapters::signing::{ClusterKeys, ClusterSigner, KeyId};
use longhaul_domain::Status;
use longhaul_engine::ports::{
    Clock, Membership, PageRequest, Presence, ProcessFilter, ProcessStore, SortOrder, Store, StoreError,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a node keeps for itself, in its state directory.
const OUTBOX: &str = "outbox.sqlite";

/// So many processes are looked at at once.
const PAGE: u32 = 500;

/// Servers that speak the protocol are found under these.
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

/// Its time is that of the server, whatever clock this machine has.
pub(crate) fn add_to(stores: &mut Stores) {
    for scheme in SCHEMES {
        stores.add(scheme, move |StoreContext { rest, .. }| open(format!("{scheme}:{rest}")));
    }
}

/// Whether the URL is one of such a store.
pub(crate) fn knows(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// Whether there is such a store.
pub(crate) async fn exists(url: &str) -> Result<bool, StoreError> {
    RedisStore::exists(&options(url)?).await
}

/// The id of the cluster key that the nodes of such a store use; none if it was never told.
pub(crate) async fn cluster_key(url: &str) -> Result<Option<String>, StoreError> {
    RedisStore::cluster_key(&options(url)?).await
}

/// Tells such a store the keys of this node, and answers which one its nodes use.
pub(crate) async fn agree_on_key(url: &str, keys: &ClusterKeys) -> Result<String, StoreError> {
    let trusted = keys.trusted().map(KeyId::as_str);
    RedisStore::agree_on_key(&options(url)?, keys.signing().as_str(), trusted).await
}

/// Why a copy cannot be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "a copy cannot get its place in a cluster, where it would have to move to another shard; name one server"
)]
struct CopyToSharedStore;

/// Where a copy is made before it gets its place, as a URL.
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

/// Lets a store go that nobody uses, and says whether there was anything.
pub(crate) async fn discard(url: &str) -> Result<bool, StoreError> {
    RedisStore::discard(&options(url)?).await
}

/// Puts a draft in its place; false if that is taken.
pub(crate) async fn put_in_place(draft: &str, place: &str) -> Result<bool, StoreError> {
    RedisStore::rename(&options(draft)?, &options(place)?.namespace).await
}

/// What to do about an error of such a store: what to allow on its server, or which one to go back to.
pub(crate) fn allowing(url: &str, error: &StoreError) -> Option<String> {
    let StoreError::Unavailable { source } = error else { return None };
    if let Some(foreign) = source.downcast_ref::<ForeignOutbox>() {
        return Some(foreign.help());
    }
    let denial = source.downcast_ref::<AclError>()?;
    // What is shown of a URL has all that counts here.
    Some(denial.help(&options(url).ok()?.namespace))
}

/// Opens a store that exists; none if a node is there whose lease is not over.
pub(crate) async fn movable(url: &str) -> Result<Option<Box<dyn CopyableStore>>, StoreError> {
    let store = RedisStore::open(options(url)?).await?;
    let nodes = store.list_nodes().await?;
    let is_used = nodes.iter().any(|node| matches!(node.presence, Presence::Present { until: Some(_) }));
    Ok((!is_used).then(|| Box::new(store) as Box<dyn CopyableStore>))
}

/// How many launches that have not ended were sealed with this key.
pub(crate) async fn sealed_with(url: &str, key: &KeyId) -> Result<usize, StoreError> {
    let options = options(url)?;
    if !RedisStore::exists(&options).await? {
        return Ok(0);
    }
    let store = RedisStore::open(options).await?;
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let filter = ProcessFilter { statuses, ..ProcessFilter::default() };
    let mut page = PageRequest { order: SortOrder::default(), after: None, most: PAGE };
    let mut sealed = 0;
    loop {
        let listing = store.list(&filter, &page).await?.whole()?;
        let seals = listing.processes.iter().filter_map(|stored| stored.process.signature.as_ref());
        sealed += seals.filter(|seal| ClusterSigner::key_of(seal).as_ref() == Some(key)).count();
        page.after = listing.next;
        if page.after.is_none() {
            return Ok(sealed);
        }
    }
}

/// Opens the store of a manager: with what its node keeps of its own work, beside all else that it keeps.
pub(crate) async fn opened_by_node(
    choice: &StoreChoice,
    url: &str,
    state_dir: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StoreError> {
    let options = options(url)?;
    let kept =
        OutboxOptions { accepts_alone: options.runs_during_outage, ..OutboxOptions::at(choice.to_string()) };
    let kept = match options.durability {
        // The loss of one server loses nothing that was acknowledged.
        Durability::Replicated { .. } => OutboxOptions { keeps_ended: Duration::ZERO, ..kept },
        Durability::Cache | Durability::Single => kept,
    };
    let outbox = state_dir.join(OUTBOX);
    if !RedisStore::exists(&options).await? {
        OutboxStore::check_unfounded(&outbox, &kept.place)?;
    }
    let store = Arc::new(RedisStore::open(options).await?);
    Ok(Arc::new(OutboxStore::open(store, &outbox, clock.clone(), kept).await?))
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
