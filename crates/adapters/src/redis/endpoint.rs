//! Locates the server of a store.

#[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
use super::Durability;
use super::options::{RedisOptions, RedisTlsFiles};
#[cfg(feature = "redis-cluster")]
use super::shards::Shards;
use super::tls::TlsFault;
use redis::{Client, RedisError};

/// URL scheme for a list of sentinels.
#[cfg(feature = "redis-sentinel")]
const SENTINELS: &str = "redis+sentinel://";
/// URL schemes for a list of cluster nodes, each with the scheme of the connection to one node.
#[cfg(feature = "redis-cluster")]
const CLUSTERS: [(&str, &str); 2] = [("redis+cluster://", "redis"), ("rediss+cluster://", "rediss")];

/// Location of the Redis server of a store.
pub(super) enum Endpoint {
    /// A server with a fixed address.
    Fixed(Client),
    /// The primary that these sentinels report. Each new connection requests it from the sentinels again.
    #[cfg(feature = "redis-sentinel")]
    Told(tokio::sync::Mutex<redis::sentinel::SentinelClient>),
    /// The node of a Redis cluster that has the keys of the namespace. Each new connection requests it from the cluster
    /// again.
    #[cfg(feature = "redis-cluster")]
    Sharded(Shards),
}

/// Reason why the server cannot be located.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    /// The URL is invalid.
    #[error(transparent)]
    Url(#[from] RedisError),
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// A failover could promote a server that lacks acknowledged writes.
    #[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
    #[error(transparent)]
    Alone(#[from] UnguardedFailover),
}

/// Error for the combination of sentinels or a cluster with a durability that only a single server can guarantee.
#[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "with Redis Sentinel or Redis Cluster, `durability=single` could start the same work on both sides of a network partition; \
     use `durability=replicated:N` with the number of replicas that may be promoted, or name a single server"
)]
pub struct UnguardedFailover;

impl Endpoint {
    pub(super) fn of(options: &RedisOptions) -> Result<Self, EndpointError> {
        let url = &options.url;
        #[cfg(feature = "redis-sentinel")]
        if let Some(rest) = url.strip_prefix(SENTINELS) {
            if options.tls != RedisTlsFiles::default() {
                return Err(TlsFault::NotThroughTls.into());
            }
            if options.durability == Durability::Single {
                return Err(UnguardedFailover.into());
            }
            return Ok(Self::Told(tokio::sync::Mutex::new(sentinels(rest)?)));
        }
        #[cfg(feature = "redis-cluster")]
        if let Some((rest, scheme)) =
            CLUSTERS.iter().find_map(|(prefix, scheme)| Some((url.strip_prefix(prefix)?, scheme)))
        {
            if options.durability == Durability::Single {
                return Err(UnguardedFailover.into());
            }
            return Ok(Self::Sharded(Shards::read(scheme, rest, &options.tls, &options.prefix())?));
        }
        Ok(Self::Fixed(client(url, &options.tls)?))
    }

    pub(super) async fn client(&self) -> Result<Client, RedisError> {
        match self {
            Self::Fixed(client) => Ok(client.clone()),
            #[cfg(feature = "redis-sentinel")]
            // The futures are boxed, because they are nested too deeply for the compiler if every caller contains them
            // directly.
            Self::Told(sentinels) => {
                Box::pin(async { sentinels.lock().await.async_get_client().await }).await
            }
            #[cfg(feature = "redis-cluster")]
            Self::Sharded(shards) => Box::pin(shards.client()).await,
        }
    }
}

pub(super) fn client(url: &str, files: &RedisTlsFiles) -> Result<Client, EndpointError> {
    let plain = Client::open(url)?;
    if *files == RedisTlsFiles::default() {
        return Ok(plain);
    }
    if !matches!(plain.get_connection_info().addr(), redis::ConnectionAddr::TcpTls { .. }) {
        return Err(TlsFault::NotThroughTls.into());
    }
    #[cfg(feature = "redis-tls")]
    return Ok(Client::build_with_tls(url, files.read()?)?);
    #[cfg(not(feature = "redis-tls"))]
    Ok(plain)
}

/// Parses `user:password@host:port,host:port/name?db=number`.
#[cfg(feature = "redis-sentinel")]
fn sentinels(rest: &str) -> Result<redis::sentinel::SentinelClient, RedisError> {
    use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
    use redis::{ConnectionAddr, ErrorKind};
    /// Default port of sentinels.
    const PORT: u16 = 26_379;
    let unreadable = |what: &'static str| RedisError::from((ErrorKind::InvalidClientConfig, what));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let named = rest.split_once('/').filter(|(_, name)| !name.is_empty());
    let (hosts, name) = named.ok_or_else(|| {
        unreadable("the URL does not contain the name of the primary that the sentinels use")
    })?;
    let mut addresses = Vec::new();
    for host in hosts.split(',') {
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().map_err(|_| unreadable("the port of a sentinel is not a number"))?)
            }
            None => (host, PORT),
        };
        addresses.push(ConnectionAddr::Tcp(host.to_owned(), port));
    }
    let mut builder = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master)?;
    if let Some((name, password)) = user.map(|user| user.split_once(':').unwrap_or(("", user))) {
        builder = builder.set_client_to_redis_password(password);
        if !name.is_empty() {
            builder = builder.set_client_to_redis_username(name);
        }
    }
    if let Some(db) = query.split('&').find_map(|part| part.strip_prefix("db=")) {
        let db = db.parse().map_err(|_| unreadable("the database is not a number"))?;
        builder = builder.set_client_to_redis_db(db);
    }
    builder.build()
}

#[cfg(all(test, feature = "redis-sentinel"))]
mod tests {
    use super::*;

    fn options(url: &str) -> RedisOptions {
        RedisOptions { durability: Durability::Cache, ..RedisOptions::at(url) }
    }

    #[test]
    fn sentinels_need_a_name_for_the_primary() {
        for url in
            ["redis+sentinel://a,b:1/main", "redis+sentinel://u:p@a:1/main?db=2", "redis+sentinel://p@a/m"]
        {
            assert!(matches!(Endpoint::of(&options(url)), Ok(Endpoint::Told(_))), "{url}");
        }
        for url in [
            "redis+sentinel://a,b",
            "redis+sentinel://a/",
            "redis+sentinel://a:x/m",
            "redis+sentinel://a/m?db=x",
        ] {
            assert!(Endpoint::of(&options(url)).is_err(), "{url}");
        }
    }
}
