//! Properties that a server reports about itself, and the guarantees that it cannot give.

use super::Durability;
use super::unsuitable::UnsuitableServer;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use std::collections::BTreeMap;

/// Oldest server version that has all required commands.
const REDIS_FLOOR: ServerVersion = ServerVersion(6, 2);
const VALKEY_FLOOR: ServerVersion = ServerVersion(7, 2);

/// Properties that a server reports about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Product name: Redis or Valkey.
    pub product: &'static str,
    /// Version of the server.
    pub version: String,
    /// Address of the primary that this server replicates, as `host:port`; `None` if this server is a primary.
    pub primary: Option<String>,
    /// Value of `maxmemory-policy`.
    pub eviction: String,
    /// Used memory in bytes.
    pub used_memory: u64,
    /// Memory limit in bytes; `None` without a limit.
    pub most_memory: Option<u64>,
    /// True if the server appends every write to its file (`appendonly`).
    pub appends: bool,
    /// When the server syncs its file to disk (`appendfsync`).
    pub synced: SyncPolicy,
    /// True if the server accepts an append-only file that ends in the middle of a write (`aof-load-truncated`). Redis
    /// truncates such a file after the last complete command, which may be in the middle of a script: only half of that
    /// script then takes effect.
    pub begins_torn: bool,
    /// True if the latest writes to disk succeeded.
    pub disk_is_well: bool,
    /// Number of connected replicas.
    pub replicas: u32,
}

/// When a server syncs its file to disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Value of `appendfsync`.
    When(String),
    /// The user of the store may not read this setting.
    Untold,
}

impl ServerInfo {
    /// Returns the properties of a server that can give every guarantee of a single server. Tests modify them.
    #[must_use]
    pub fn well() -> Self {
        Self {
            product: "Redis",
            version: "7.0.15".to_owned(),
            primary: None,
            eviction: "noeviction".to_owned(),
            used_memory: 12 << 20,
            most_memory: None,
            appends: true,
            synced: SyncPolicy::When("always".to_owned()),
            begins_torn: false,
            disk_is_well: true,
            replicas: 0,
        }
    }

    /// Reads the properties of a server. Fails with "busy loading" while the server is loading its data, because a
    /// server that is loading reports that it does not append its writes to a file.
    pub(super) async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, RedisError> {
        let told: String = redis::cmd("INFO").query_async(connection).await?;
        if is_loading(&told) {
            return Err(
                (ErrorKind::Server(ServerErrorKind::BusyLoading), "the server is loading its data").into()
            );
        }
        let synced = match setting(connection, "appendfsync").await? {
            Some(when) => SyncPolicy::When(when),
            None => SyncPolicy::Untold,
        };
        Ok(Self::read(&told, synced))
    }

    /// Reads the setting `aof-load-truncated`.
    pub(super) async fn ask_begin(
        &mut self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let begins = setting(connection, "aof-load-truncated").await?;
        self.begins_torn = begins.as_deref() == Some("yes");
        Ok(())
    }

    fn read(told: &str, synced: SyncPolicy) -> Self {
        let fields: BTreeMap<&str, &str> = told
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        let text = |name: &str| fields.get(name).copied().unwrap_or_default();
        let count = |name: &str| text(name).parse::<u64>().unwrap_or_default();
        let (product, version) = match text("valkey_version") {
            "" => ("Redis", text("redis_version")),
            version => ("Valkey", version),
        };
        let is_well = |name: &str| matches!(text(name), "ok" | "");
        Self {
            product,
            version: version.to_owned(),
            primary: (text("role") != "master")
                .then(|| format!("{}:{}", text("master_host"), text("master_port"))),
            eviction: text("maxmemory_policy").to_owned(),
            used_memory: count("used_memory"),
            most_memory: Some(count("maxmemory")).filter(|limit| *limit > 0),
            appends: text("aof_enabled") == "1",
            synced,
            begins_torn: false,
            disk_is_well: is_well("aof_last_write_status") && is_well("rdb_last_bgsave_status"),
            replicas: u32::try_from(count("connected_slaves")).unwrap_or(u32::MAX),
        }
    }

    /// Returns all reasons why the server cannot be used with this durability, most serious first.
    #[must_use]
    pub fn faults(&self, durability: Durability) -> Vec<UnsuitableServer> {
        let mut faults = Vec::new();
        let floor = if self.product == "Valkey" { VALKEY_FLOOR } else { REDIS_FLOOR };
        if ServerVersion::read(&self.version).is_none_or(|version| version < floor) {
            let ServerVersion(major, minor) = floor;
            faults.push(UnsuitableServer::TooOld {
                server: self.product.to_owned(),
                version: self.version.clone(),
                floor: format!("{major}.{minor}"),
            });
        }
        if let Some(primary) = &self.primary {
            faults.push(UnsuitableServer::Replica { primary: primary.clone() });
        }
        if self.eviction != "noeviction" {
            faults.push(UnsuitableServer::Evicts { policy: self.eviction.clone() });
        }
        let not_durable = |setting, found: &str, wanted| UnsuitableServer::NotDurable {
            durability,
            setting,
            found: found.to_owned(),
            wanted,
        };
        match durability {
            Durability::Cache => return faults,
            Durability::Single => {}
            Durability::Replicated { replicas } => {
                if self.replicas != replicas.get() {
                    faults.push(UnsuitableServer::OtherReplicas { durability, connected: self.replicas });
                }
            }
        }
        if !self.appends {
            faults.push(not_durable("appendonly", "no", "yes"));
        }
        match (durability, &self.synced) {
            (Durability::Single, SyncPolicy::Untold) => {
                faults.push(UnsuitableServer::Silent { what: "settings", command: "config|get" });
            }
            (Durability::Single, SyncPolicy::When(when)) if when != "always" => {
                faults.push(not_durable("appendfsync", when, "always"));
            }
            (Durability::Single | Durability::Cache | Durability::Replicated { .. }, _) => {}
        }
        faults
    }
}

/// Returns the value of a setting, or `None` if the user of the store may not read it.
async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Result<Option<String>, RedisError> {
    let settings: Result<BTreeMap<String, String>, RedisError> =
        redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await;
    match settings {
        Ok(settings) => Ok(Some(settings.get(name).cloned().unwrap_or_default())),
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_loading(told: &str) -> bool {
    told.lines().any(|line| line.trim_end() == "loading:1")
}

/// Returns the time of the server, in microseconds since 1970.
pub(super) async fn time(connection: &mut MultiplexedConnection) -> Result<i64, RedisError> {
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(connection).await?;
    Ok(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// Returns one field of a hash as text, or `None` if it is absent.
pub(super) async fn field(
    connection: &mut MultiplexedConnection,
    key: &str,
    name: &str,
) -> Result<Option<String>, RedisError> {
    let value: Value = redis::cmd("HGET").arg(key).arg(name).query_async(connection).await?;
    redis::from_redis_value(value).map_err(RedisError::from)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ServerVersion(u32, u32);

impl ServerVersion {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        Some(Self(parts.next()?.ok()?, parts.next()?.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const FIT: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\naof_enabled:1\r\n\
                       maxmemory_policy:noeviction\r\nconnected_slaves:2\r\nmaxmemory:0\r\nused_memory:1024\r\n";

    fn replicated() -> Durability {
        Durability::Replicated { replicas: NonZeroU32::new(2).unwrap() }
    }

    /// Returns the faults of a suitable server with these changed lines. If a name occurs twice, the later line counts.
    fn problems(changes: &str) -> Vec<UnsuitableServer> {
        let facts = ServerInfo::read(&format!("{FIT}{changes}"), SyncPolicy::When("always".to_owned()));
        facts.faults(replicated())
    }

    #[test]
    fn the_oldest_servers_that_will_do_do() {
        for changes in [
            "",
            "redis_version:6.2.0",
            "valkey_version:7.2.4\nredis_version:7.2.4",
            "valkey_version:10.0.0\nredis_version:7.2.4",
        ] {
            assert_eq!(problems(changes), [], "{changes}");
        }
    }

    #[test]
    fn an_older_server_is_refused_by_name() {
        for (changes, server) in [
            ("redis_version:6.0.16", "Redis"),
            ("redis_version:5.0", "Redis"),
            ("redis_version:", "Redis"),
            ("valkey_version:7.1.0\nredis_version:7.2.4", "Valkey"),
        ] {
            let refused = problems(changes);
            assert!(
                matches!(&refused[..], [UnsuitableServer::TooOld { server: named, .. }] if named == server),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn too_many_replicas_are_refused_like_too_few_replicas() {
        for connected in ["1", "3", ""] {
            let refused = problems(&format!("connected_slaves:{connected}"));
            assert!(matches!(&refused[..], [UnsuitableServer::OtherReplicas { .. }]), "{refused:?}");
        }
    }

    #[test]
    fn every_fault_is_reported_and_the_most_severe_comes_first() {
        let facts = ServerInfo::read(
            "redis_version:5.0\nrole:slave\nmaster_host:h\nmaster_port:1\nmaxmemory_policy:allkeys-lru\n",
            SyncPolicy::Untold,
        );
        let faults = facts.faults(Durability::Single);
        assert!(
            matches!(
                &faults[..],
                [
                    UnsuitableServer::TooOld { .. },
                    UnsuitableServer::Replica { .. },
                    UnsuitableServer::Evicts { .. },
                    UnsuitableServer::NotDurable { setting: "appendonly", .. },
                    UnsuitableServer::Silent { .. },
                ]
            ),
            "{faults:?}"
        );
        assert_eq!(facts.faults(Durability::Cache).len(), 3, "without a promise the disk does not matter");
    }

    #[test]
    fn a_server_that_loads_is_known_as_such() {
        assert!(is_loading("# Persistence\r\nloading:1\r\nasync_loading:0\r\n"));
        assert!(!is_loading("# Persistence\r\nloading:0\r\nasync_loading:1\r\n"));
    }

    #[test]
    fn zero_means_no_limit_and_a_failing_disk_is_reported() {
        let facts = |told: &str| ServerInfo::read(told, SyncPolicy::Untold);
        assert_eq!((facts(FIT).most_memory, facts(FIT).used_memory), (None, 1024));
        assert_eq!(facts("maxmemory:5").most_memory, Some(5));
        assert!(facts(FIT).disk_is_well);
        assert!(!facts("aof_last_write_status:err").disk_is_well);
        assert!(!facts("rdb_last_bgsave_status:err").disk_is_well);
    }
}
