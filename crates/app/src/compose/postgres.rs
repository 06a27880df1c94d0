//! Opens shared stores in PostgreSQL databases. The server does not forget what it has committed, so nodes need no
//! outbox.

use crate::stores::Stores;
#[cfg(feature = "postgres")]
use {
    crate::stores::StoreContext,
    longhaul_adapters::postgres::{PostgresOptions, PostgresStore},
    longhaul_engine::ports::StoreError,
};

/// URL schemes of PostgreSQL databases.
const SCHEMES: &[&str] = &[
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "postgres")]
    "postgresql",
];

/// Registers the URL schemes of PostgreSQL databases. The leases use the clock of the server instead of the clock of
/// this machine.
pub(crate) fn add_to(stores: &mut Stores) {
    #[cfg(feature = "postgres")]
    for scheme in SCHEMES {
        stores.add_movable(scheme, move |StoreContext { rest, .. }| open(format!("{scheme}:{rest}")));
    }
    #[cfg(not(feature = "postgres"))]
    let _ = stores;
}

/// Returns true if the URL has the scheme of a PostgreSQL database.
pub(crate) fn knows(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// Opens the store. Creates the tables if they do not exist.
#[cfg(feature = "postgres")]
pub(crate) async fn open(url: String) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(PostgresOptions::of_url(&url)?).await
}
