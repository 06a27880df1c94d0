//! Options of a Redis store.

use super::Durability;
use longhaul_ports::Clock;
use longhaul_wire::record;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Options of a Redis store: its location and its settings.
#[derive(Clone)]
pub struct RedisOptions {
    /// URL of the server:
    /// - `redis://host:port` or `redis+unix:///path/of/the/socket`;
    /// - `rediss://host:port` with the feature `redis-tls`;
    /// - `redis+sentinel://user:password@host:port,host:port/name` with the feature `redis-sentinel`: the sentinels,
    ///   and their name for the primary;
    /// - `redis+cluster://user:password@host:port,host:port` or `rediss+cluster:` with the feature `redis-cluster`:
    ///   some nodes of a cluster. One shard of it contains the whole namespace.
    pub url: String,
    /// Name of the namespace. All keys start with `lh:{namespace}:`. Default: `longhaul`.
    pub namespace: String,
    /// Guarantee for acknowledged writes. Default: [`Durability::Single`].
    pub durability: Durability,
    /// Duration of node leases; `None` for leases that never expire.
    pub leases: Option<LeaseTimes>,
    /// Time for which a failing request is retried. Default: 5 seconds.
    pub time_limit: Duration,
    /// True if, during an outage of the server, this node runs launches that affect no other node. If false, it refuses
    /// them. Requires an outbox around the store. Default: false.
    pub runs_during_outage: bool,
    /// Files for TLS connections. By default, the certificate authorities of the machine are trusted.
    pub tls: RedisTlsFiles,
    /// Clock to use instead of the server's clock. Only for tests: nodes on several machines have only the server's
    /// clock in common.
    pub clock: Option<Arc<dyn Clock>>,
    /// Newest record format that this node can read. Default: [`record::FORMAT`]. If the value is higher, every spec
    /// that this node writes requires that format. This is used in tests with nodes of two versions.
    pub record_format: u32,
}

/// Files for TLS connections, in PEM format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTlsFiles {
    /// Certificate authorities to trust instead of the certificate authorities of the machine.
    pub authorities: Option<PathBuf>,
    /// Client certificate for servers that require one.
    pub client: Option<TlsClient>,
}

/// Client certificate of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    /// File with the certificate and its intermediate certificates.
    pub certificate: PathBuf,
    /// File with the private key.
    pub key: PathBuf,
}

/// Duration of node leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Time from the latest lease renewal until the lease expires. Default: 5 seconds.
    pub lease: Duration,
    /// Time after the end of a lease during which the node still owns its processes. Default: 10 seconds.
    pub grace: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { lease: Duration::from_secs(5), grace: Duration::from_secs(10) }
    }
}

impl RedisOptions {
    /// Returns default options for the store at this URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: "longhaul".to_owned(),
            durability: Durability::default(),
            leases: Some(LeaseTimes::default()),
            time_limit: Duration::from_secs(5),
            runs_during_outage: false,
            tls: RedisTlsFiles::default(),
            clock: None,
            record_format: record::FORMAT,
        }
    }

    pub(super) fn prefix(&self) -> String {
        format!("lh:{{{}}}:", self.namespace)
    }
}

/// Formats the options without the URL, which may contain a password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("namespace", &self.namespace)
            .field("durability", &self.durability)
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}
