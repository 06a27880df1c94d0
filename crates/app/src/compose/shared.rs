//! The store of many machines, by its URL.

use crate::stores::Stores;
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_engine::ports::{Store, StoreError};
use std::sync::Arc;

/// Servers that speak the protocol are found under these.
const SCHEMES: [&str; 5] = ["redis", "rediss", "redis+unix", "valkey", "valkeys"];

/// Its time is that of the server, whatever clock this machine has.
pub(crate) fn add_to(stores: &mut Stores) {
    for scheme in SCHEMES {
        stores.add(scheme, move |rest, _| open(format!("{scheme}:{rest}")));
    }
}

async fn open(url: String) -> Result<Arc<dyn Store>, StoreError> {
    let options = RedisOptions::of_url(&url);
    let options = options.map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
    Ok(Arc::new(RedisStore::open(options).await?))
}
