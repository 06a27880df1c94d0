//! Opens shared stores in PostgreSQL databases. The server does not forget what it has committed, so nodes need no
//! outbox.

use crate::config::ManagerConfig;
use crate::doctor::DoctorCheck;
use crate::stores::Stores;
#[cfg(feature = "postgres")]
use {
    super::{key_check, postgres_check},
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

/// Checks the server of a PostgreSQL database and the cluster key of the nodes. Returns no checks for other stores.
pub(crate) async fn checks(settings: &ManagerConfig, url: &str) -> Vec<DoctorCheck> {
    #[cfg(feature = "postgres")]
    if knows(url) {
        let mut checks = postgres_check::checks(url).await;
        checks.extend(key_check::check("postgres.cluster_key", settings, url).await);
        return checks;
    }
    let _ = (settings, url);
    Vec::new()
}

/// Opens the store. Creates the tables if they do not exist.
#[cfg(feature = "postgres")]
pub(crate) async fn open(url: String) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(PostgresOptions::of_url(&url)?).await
}
