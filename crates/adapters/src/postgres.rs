//! Shared store in a PostgreSQL database: the rules of [`StoreOn`] on four tables.
//!
//! One locked row serialises the writers of all programs. A program learns of the commits of other programs through
//! `LISTEN` and `NOTIFY`. All leases use the clock of the server. PostgreSQL does not forget what it has committed, so a
//! node needs no outbox.
//!
//! A call waits at most 15 s for the server, and a transaction that does nothing for 15 s is ended by the server, so that
//! a program that has stopped does not block the others.

mod connection;
mod examination;
mod failure;
mod listener;
mod pool;
mod schema;
#[cfg(feature = "postgres-tls")]
mod tls;
mod transaction;
mod url;

pub use examination::PostgresServerCheck;

use crate::rows::{ChangeCounter, LeaseTerms, RowAccess, RowTransaction, Rows, StoreOn};
use async_trait::async_trait;
use connection::PostgresTarget;
use listener::ChangeListener;
use longhaul_ports::{Clock, StoreError};
use pool::PostgresPool;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Maximum size of a spec in bytes.
const MAX_SPEC_BYTES: usize = 1024 * 1024;

/// Maximum duration of a lease and of the grace period after it.
const MAX_LEASE_SECONDS: u64 = 24 * 3600;

/// A shared store in a PostgreSQL database.
pub type PostgresStore = StoreOn<PostgresRows>;

/// Options of a PostgreSQL store.
#[derive(Clone)]
pub struct PostgresOptions {
    /// URL of the database, `postgres://USER@HOST/DATABASE`. The host may be the directory of a Unix socket:
    /// `postgres://USER@/DATABASE?host=/run/postgresql`. The query parameter `schema` names the schema that contains the
    /// tables; the default is `longhaul`. All other parameters are those of the PostgreSQL client libraries.
    pub url: String,
    /// Durations of the leases. If it is `None`, leases never expire.
    pub leases: Option<LeaseTerms>,
    /// File with the CA certificates that are trusted. If it is `None`, the CA certificates of the machine are trusted.
    pub ca_file: Option<PathBuf>,
    /// Clock that replaces the clock of the server in tests.
    pub clock: Option<Arc<dyn Clock>>,
}

impl PostgresOptions {
    /// Returns the options of a store at this URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), leases: None, ca_file: None, clock: None }
    }

    /// Reads the options from the URL of a shared store. In addition to the parameters of [`url`](Self::url), the query
    /// may contain `lease` and `grace`, the durations of the leases in seconds (5 and 10 by default), and `sslrootcert`,
    /// the path of a file with CA certificates.
    ///
    /// # Errors
    /// Returns [`StoreError::Unavailable`] if one of these parameters is not valid.
    pub fn of_url(url: &str) -> Result<Self, StoreError> {
        let mut terms = LeaseTerms { lease: Duration::from_secs(5), grace: Duration::from_secs(10) };
        let mut ca_file = None;
        let url = url::without_parameters(url, |name, value| {
            match name {
                "lease" => terms.lease = duration(name, value, 1)?,
                "grace" => terms.grace = duration(name, value, 0)?,
                "sslrootcert" => ca_file = Some(PathBuf::from(value)),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { leases: Some(terms), ca_file, ..Self::at(url) })
    }
}

fn duration(name: &str, seconds: &str, min: u64) -> Result<Duration, StoreError> {
    let seconds = seconds.parse().ok().filter(|seconds| (min..=MAX_LEASE_SECONDS).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        failure::unavailable(format!(
            "`{name}` must be a number of seconds from {min} to {MAX_LEASE_SECONDS}"
        ))
    })?;
    Ok(Duration::from_secs(seconds))
}

impl fmt::Debug for PostgresOptions {
    /// Omits the URL, because it may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("leases", &self.leases).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the database, and creates the tables if they do not exist.
    ///
    /// # Errors
    /// - [`StoreError::Unavailable`] if the URL is not valid or the server cannot be used.
    /// - [`StoreError::Format`] if a newer program created the tables.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let PostgresOptions { url, leases, ca_file, clock } = options;
        let target = PostgresTarget::of(&url, ca_file.as_deref(), clock.is_none())?;
        let pool = Arc::new(PostgresPool::new(target));
        let mut connection = pool.connect().await?;
        schema::migrate(&mut connection).await?;
        let server = connection.server_id().await?;
        pool.give_back(connection);
        let changes = Arc::<ChangeCounter>::default();
        let listener = ChangeListener::start(pool.target().clone(), Arc::clone(&changes));
        let store = Self::on(PostgresRows { pool, clock, server, changes, _listener: listener });
        Ok(match leases {
            Some(terms) => store.with_lease_terms(terms),
            None => store,
        })
    }
}

/// A PostgreSQL database.
pub struct PostgresRows {
    pool: Arc<PostgresPool>,
    clock: Option<Arc<dyn Clock>>,
    server: String,
    changes: Arc<ChangeCounter>,
    _listener: ChangeListener,
}

impl fmt::Debug for PostgresRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresRows").field("server", &self.server).finish_non_exhaustive()
    }
}

#[async_trait]
impl Rows for PostgresRows {
    async fn begin(&self, access: RowAccess) -> Result<Box<dyn RowTransaction>, StoreError> {
        let clock = self.clock.as_deref();
        Ok(Box::new(transaction::begin(&self.pool, access, clock, &self.changes).await?))
    }

    fn changes(&self) -> &ChangeCounter {
        &self.changes
    }

    fn server(&self) -> String {
        self.server.clone()
    }

    fn max_fixed_bytes(&self) -> Option<usize> {
        Some(MAX_SPEC_BYTES)
    }
}
