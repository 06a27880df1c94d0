//! Where a store is, and what it keeps to.

use super::Durability;
use longhaul_ports::Clock;
use longhaul_wire::record;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a store is, and what it keeps to.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://host:port`, `redis+unix:///path/of/the/socket`, with the feature `redis-tls` `rediss://host:port`, and with
    /// the feature `redis-sentinel` `redis+sentinel://user:password@host:port,host:port/name`: the sentinels, and what
    /// they call the primary. With the feature `redis-cluster`, `redis+cluster://user:password@host:port,host:port` (or
    /// `rediss+cluster:`): some nodes of a cluster, one shard of which has the whole namespace.
    pub url: String,
    /// All keys begin with `lh:{namespace}:`; `longhaul` by default.
    pub namespace: String,
    /// What an acknowledged write outlives; the server by default.
    pub durability: Durability,
    /// How long the leases of nodes last; none means for ever.
    pub leases: Option<LeaseTimes>,
    /// So long a write is sent again before it is given up; 5 seconds by default.
    pub patience: Duration,
    /// Whether launches that concern nobody else run on the node that is asked while the server is away, instead of being
    /// refused; not by default. It is for whoever keeps an outbox beside the store.
    pub runs_during_outage: bool,
    /// The files of a connection through TLS; none by default, which trusts whom the machine trusts.
    pub tls: RedisTlsFiles,
    /// Takes its time from this clock instead of from the server, which is for tests: nodes on many machines have no
    /// common clock but the server's.
    pub clock: Option<Arc<dyn Clock>>,
    /// The newest record format that this node reads; [`record::FORMAT`] by default. Above that, every specification that
    /// the node writes needs a reader of this format, which is for tests of nodes of two versions.
    pub record_format: u32,
}

/// The files of a connection through TLS, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTlsFiles {
    /// The authorities that are trusted, instead of those that the machine trusts.
    pub authorities: Option<PathBuf>,
    /// What is shown to a server that asks whom it speaks to.
    pub client: Option<TlsClient>,
}

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    /// Its certificate, with those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How long the leases of nodes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// After the latest beat of the node; 5 seconds by default.
    pub lease: Duration,
    /// So long after its end the node's work is its own still; 10 seconds by default.
    pub grace: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { lease: Duration::from_secs(5), grace: Duration::from_secs(10) }
    }
}

impl RedisOptions {
    /// The store at this URL, all else as by default.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: "longhaul".to_owned(),
            durability: Durability::default(),
            leases: Some(LeaseTimes::default()),
            patience: Duration::from_secs(5),
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

/// A URL may hold a password, so it is not shown.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("namespace", &self.namespace)
            .field("durability", &self.durability)
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}
