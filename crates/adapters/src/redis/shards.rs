//! Finds the shard of a Redis cluster that has the keys of a namespace.

use super::endpoint::{EndpointError, client};
use super::link::{RESPONSE_TIMEOUT, dial};
use super::options::RedisTlsFiles;
use redis::{Client, ErrorKind, RedisError, ServerErrorKind, Value};

/// Default port of the servers of a Redis Cluster.
const PORT: &str = "6379";

/// Addresses of a Redis cluster. All keys of a namespace share a hash tag, so they are all on one shard.
pub(super) struct Shards {
    /// Some nodes of the cluster. Each of them can report all other nodes.
    seeds: Vec<String>,
    /// Part of the URL that precedes the address of a node.
    head: String,
    /// Part of the URL that follows the address of a node.
    tail: String,
    files: RedisTlsFiles,
    /// Any key of the namespace. It determines the shard.
    key: String,
}

impl Shards {
    /// Parses `user:password@host:port,host:port?protocol=resp3`. `scheme` is the URL scheme of a connection to one
    /// node.
    pub(super) fn read(
        scheme: &str,
        rest: &str,
        files: &RedisTlsFiles,
        key: &str,
    ) -> Result<Self, EndpointError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = match rest.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), rest),
        };
        let tail = if query.is_empty() { String::new() } else { format!("/?{query}") };
        let shards = Self {
            seeds: hosts.trim_end_matches('/').split(',').map(with_port).collect(),
            head: format!("{scheme}://{login}"),
            tail,
            files: files.clone(),
            key: key.to_owned(),
        };
        for seed in &shards.seeds {
            shards.at(seed)?;
        }
        Ok(shards)
    }

    /// Returns the current primary of the shard. Uses the report of the first node that is connected to the other
    /// nodes.
    pub(super) async fn client(&self) -> Result<Client, RedisError> {
        let mut met = None;
        for seed in &self.seeds {
            match self.leader(seed).await {
                Ok(leader) => return Ok(leader),
                Err(error) => met = Some(error),
            }
        }
        Err(met.unwrap_or_else(no_leader))
    }

    async fn leader(&self, seed: &str) -> Result<Client, RedisError> {
        let mut connection = dial(&self.at(seed).map_err(passed_on)?, RESPONSE_TIMEOUT).await?;
        let mut asked = redis::pipe();
        asked.cmd("CLUSTER").arg("INFO");
        asked.cmd("CLUSTER").arg("KEYSLOT").arg(&self.key);
        asked.cmd("CLUSTER").arg("SLOTS");
        let (reported, slot, ranges): (String, i64, Vec<Value>) = asked.query_async(&mut connection).await?;
        // A node that has lost its connection to the other nodes has no record of later failovers.
        if !reported.lines().any(|line| line.trim_end() == "cluster_state:ok") {
            return Err(no_leader());
        }
        let host = seed.rsplit_once(':').map_or(seed, |(host, _)| host);
        let address = ranges.iter().find_map(|range| leader_of(range, slot, host)).ok_or_else(no_leader)?;
        let leader = self.at(&address).map_err(passed_on)?;
        // Check that the primary is reachable, because the report may contain a node that has left the cluster.
        dial(&leader, RESPONSE_TIMEOUT).await?;
        Ok(leader)
    }

    fn at(&self, address: &str) -> Result<Client, EndpointError> {
        client(&format!("{}{address}{}", self.head, self.tail), &self.files)
    }
}

fn with_port(host: &str) -> String {
    let is_bare_address = host.ends_with(']');
    if !is_bare_address && host.contains(':') { host.to_owned() } else { format!("{host}:{PORT}") }
}

/// Returns the address of the primary if this range contains the slot. The primary is the first node in the range. If
/// it is listed without a host name, it has the host of the node that sent the report.
fn leader_of(range: &Value, slot: i64, asked: &str) -> Option<String> {
    let Value::Array(parts) = range else { return None };
    let (first, last, primary) = (parts.first()?, parts.get(1)?, parts.get(2)?);
    let (Value::Int(first), Value::Int(last), Value::Array(primary)) = (first, last, primary) else {
        return None;
    };
    if slot < *first || slot > *last {
        return None;
    }
    let host: Option<String> = redis::from_redis_value(primary.first()?.clone()).ok()?;
    let port: u16 = redis::from_redis_value(primary.get(1)?.clone()).ok()?;
    let host = match host.filter(|host| !host.is_empty() && host != "?") {
        Some(host) if host.contains(':') => format!("[{host}]"),
        Some(host) => host,
        None => asked.to_owned(),
    };
    Some(format!("{host}:{port}"))
}

fn no_leader() -> RedisError {
    let kind = ErrorKind::Server(ServerErrorKind::ClusterDown);
    (kind, "no shard of the Redis Cluster currently holds the keys of the namespace").into()
}

/// Converts an error of an address. The address was valid when it was parsed, so only the TLS files can have changed.
fn passed_on(misplaced: EndpointError) -> RedisError {
    match misplaced {
        EndpointError::Url(error) => error,
        fault @ (EndpointError::Tls(_) | EndpointError::Alone(_)) => std::io::Error::other(fault).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> Result<Shards, EndpointError> {
        Shards::read("redis", rest, &RedisTlsFiles::default(), "lh:{team}:")
    }

    #[test]
    fn every_node_that_is_named_is_one_to_ask() {
        for (rest, seeds) in [
            ("a,b:7000", &["a:6379", "b:7000"][..]),
            ("user:pass@a:1/?protocol=resp3", &["a:1"]),
            ("[::1],[::1]:7001", &["[::1]:6379", "[::1]:7001"]),
        ] {
            assert_eq!(read(rest).unwrap().seeds, seeds, "{rest}");
        }
    }

    #[test]
    fn invalid_node_address_is_reported_when_it_is_parsed() {
        for rest in ["", "a,", "a:x", "a:1,b:99999"] {
            assert!(read(rest).is_err(), "{rest}");
        }
    }

    #[test]
    fn primary_of_the_range_leads() {
        let node = |host: &str, port| {
            Value::Array(vec![Value::BulkString(host.as_bytes().to_vec()), Value::Int(port)])
        };
        let range = |primary| Value::Array(vec![Value::Int(10), Value::Int(20), primary, node("replica", 1)]);
        for (host, found) in
            [("10.0.0.1", "10.0.0.1:7000"), ("", "asked:7000"), ("fd00::1", "[fd00::1]:7000")]
        {
            let range = range(node(host, 7000));
            assert_eq!(leader_of(&range, 10, "asked").as_deref(), Some(found));
            assert_eq!((leader_of(&range, 9, "asked"), leader_of(&range, 21, "asked")), (None, None));
        }
        assert_eq!(leader_of(&range(Value::Nil), 10, "asked"), None);
        assert_eq!(leader_of(&Value::Nil, 10, "asked"), None);
    }
}
