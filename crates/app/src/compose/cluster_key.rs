//! The cluster key that a shared store records as the key of its nodes.

#[cfg(feature = "postgres")]
use super::postgres;
use super::shared;
use longhaul_adapters::signing::{ClusterKeys, ClusterSigner, KeyId};
use longhaul_domain::Status;
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder, Store, StoreError};
use std::sync::Arc;

/// Number of processes in one page of a listing.
const PAGE: u32 = 500;

/// Returns true if the store records the key of its nodes.
pub(crate) fn is_recorded_by(url: &str) -> bool {
    shared::knows(url) || super::postgres::knows(url)
}

/// Returns the id of the key that the nodes of the store use. Returns `None` if no node has registered a key yet.
pub(crate) async fn recorded(url: &str) -> Result<Option<String>, StoreError> {
    #[cfg(feature = "postgres")]
    if postgres::knows(url) {
        return postgres::open(url.to_owned()).await?.cluster_key().await;
    }
    shared::cluster_key(url).await
}

/// Registers the keys of this node in the store. Returns the id of the key that the nodes of the store use.
pub(crate) async fn agree(url: &str, keys: &ClusterKeys) -> Result<String, StoreError> {
    let (signing, trusted) = (keys.signing().as_str(), keys.trusted().map(KeyId::as_str));
    #[cfg(feature = "postgres")]
    if postgres::knows(url) {
        return postgres::open(url.to_owned()).await?.agree_on_key(signing, trusted).await;
    }
    shared::agree_on_key(url, signing, trusted).await
}

/// Returns the number of unfinished processes whose launch was signed with this key.
pub(crate) async fn signed_with(url: &str, key: &KeyId) -> Result<usize, StoreError> {
    let Some(store) = open(url).await? else { return Ok(0) };
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let filter = ProcessFilter { statuses, ..ProcessFilter::default() };
    let mut page = PageRequest { order: SortOrder::default(), after: None, limit: PAGE };
    let mut signed = 0;
    loop {
        let listing = store.list(&filter, &page).await?.whole()?;
        let signatures = listing.processes.iter().filter_map(|stored| stored.process.signature.as_ref());
        signed +=
            signatures.filter(|signature| ClusterSigner::key_of(signature).as_ref() == Some(key)).count();
        page.after = listing.next;
        if page.after.is_none() {
            return Ok(signed);
        }
    }
}

async fn open(url: &str) -> Result<Option<Arc<dyn Store>>, StoreError> {
    #[cfg(feature = "postgres")]
    if postgres::knows(url) {
        return Ok(Some(Arc::new(postgres::open(url.to_owned()).await?)));
    }
    shared::existing(url).await
}
