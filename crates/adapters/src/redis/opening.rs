//! Looking at a server before anything is kept there.

use super::failure::{Verdict, corrupt, not_applied, unavailable};
use super::link::Link;
use super::script::{Args, OPEN};
use super::token::token;
use super::{Durability, Unsuitable};
use longhaul_ports::StoreError;
use redis::RedisError;
use std::collections::BTreeMap;

/// The version of the layout of keys that is written here.
const LAYOUT: u64 = 1;
/// The oldest version whose programs read what is written here.
const MIN_READER: u64 = 1;
/// The oldest servers that have every command that is needed.
const REDIS_FLOOR: Version = Version(6, 2);
const VALKEY_FLOOR: Version = Version(7, 2);

/// Refuses a server that cannot keep what a store promises.
pub(super) async fn check(link: &Link, durability: Durability) -> Result<(), StoreError> {
    let mut connection = link.connected().await?;
    let told: String = redis::cmd("INFO")
        .query_async(&mut connection)
        .await
        .map_err(|error| silent(error, "state", "info"))?;
    let facts = Facts::read(&told);
    facts.check(durability).map_err(unavailable)?;
    match durability {
        Durability::Cache | Durability::Replicated { .. } => Ok(()),
        Durability::Single => {
            let settings: BTreeMap<String, String> = redis::cmd("CONFIG")
                .arg("GET")
                .arg("appendfsync")
                .query_async(&mut connection)
                .await
                .map_err(|error| silent(error, "settings", "config|get"))?;
            match settings.get("appendfsync").map(String::as_str) {
                Some("always") => Ok(()),
                found => Err(unavailable(Unsuitable::NotDurable {
                    durability,
                    setting: "appendfsync",
                    found: found.unwrap_or_default().to_owned(),
                    wanted: "always",
                })),
            }
        }
    }
}

/// Founds the namespace if there is none, and refuses one of a newer layout.
pub(super) async fn found(link: &Link) -> Result<(), StoreError> {
    let mut args = Args::default();
    args.number(LAYOUT).number(MIN_READER).bytes(&token());
    let needed = link.read(&OPEN, args).await?.number()?;
    if needed <= LAYOUT {
        return Ok(());
    }
    let found = u32::try_from(needed).map_err(|_| corrupt("the layout has no sensible number"))?;
    Err(StoreError::Format { found, supported: u32::try_from(LAYOUT).unwrap_or(u32::MAX) })
}

fn silent(error: RedisError, what: &'static str, command: &'static str) -> StoreError {
    match Verdict::on(&error) {
        Verdict::Forbidden => unavailable(Unsuitable::Silent { what, command }),
        Verdict::NotLoaded
        | Verdict::Lost
        | Verdict::Busy
        | Verdict::Demoted
        | Verdict::Full
        | Verdict::Halted
        | Verdict::Other => not_applied(error),
    }
}

/// What a server tells of itself.
#[derive(Debug)]
struct Facts<'a>(BTreeMap<&'a str, &'a str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl<'a> Facts<'a> {
    fn read(told: &'a str) -> Self {
        Self(
            told.lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name, value.trim()))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> &'a str {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn check(&self, durability: Durability) -> Result<(), Unsuitable> {
        let (server, version, floor) = if self.get("valkey_version").is_empty() {
            ("Redis", self.get("redis_version"), REDIS_FLOOR)
        } else {
            ("Valkey", self.get("valkey_version"), VALKEY_FLOOR)
        };
        if Version::read(version).is_none_or(|version| version < floor) {
            let Version(major, minor) = floor;
            return Err(Unsuitable::TooOld {
                server: server.to_owned(),
                version: version.to_owned(),
                floor: format!("{major}.{minor}"),
            });
        }
        if self.get("role") != "master" {
            let primary = format!("{}:{}", self.get("master_host"), self.get("master_port"));
            return Err(Unsuitable::Replica { primary });
        }
        let policy = self.get("maxmemory_policy");
        if policy != "noeviction" {
            return Err(Unsuitable::Evicts { policy: policy.to_owned() });
        }
        match durability {
            Durability::Cache => return Ok(()),
            Durability::Single => {}
            Durability::Replicated { replicas } => {
                let connected = self.get("connected_slaves").parse().unwrap_or(0);
                if connected != replicas.get() {
                    return Err(Unsuitable::OtherReplicas { durability, connected });
                }
            }
        }
        if self.get("aof_enabled") != "1" {
            return Err(Unsuitable::NotDurable {
                durability,
                setting: "appendonly",
                found: "no".to_owned(),
                wanted: "yes",
            });
        }
        Ok(())
    }
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        Some(Self(parts.next()?.ok()?, parts.next()?.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn told(changes: &[(&'static str, &'static str)]) -> Result<(), Unsuitable> {
        let mut facts = Facts::read("# Server\r\nredis_version:7.0.15\r\nrole:master\r\naof_enabled:1\r\n");
        facts.0.extend([("maxmemory_policy", "noeviction"), ("connected_slaves", "2")]);
        facts.0.extend(changes.iter().copied());
        facts.check(Durability::Replicated { replicas: NonZeroU32::new(2).unwrap() })
    }

    #[test]
    fn the_oldest_servers_that_will_do_do() {
        assert_eq!(told(&[]), Ok(()));
        assert_eq!(told(&[("redis_version", "6.2.0")]), Ok(()));
        assert_eq!(told(&[("valkey_version", "7.2.4"), ("redis_version", "7.2.4")]), Ok(()));
        assert_eq!(told(&[("valkey_version", "10.0.0"), ("redis_version", "7.2.4")]), Ok(()));
    }

    #[test]
    fn what_is_older_is_refused_by_its_name() {
        for (changes, server) in [
            (&[("redis_version", "6.0.16")][..], "Redis"),
            (&[("redis_version", "5.0")][..], "Redis"),
            (&[("redis_version", "")][..], "Redis"),
            (&[("valkey_version", "7.1.0"), ("redis_version", "7.2.4")][..], "Valkey"),
        ] {
            let refused = told(changes);
            assert!(
                matches!(&refused, Err(Unsuitable::TooOld { server: named, .. }) if named == server),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn replicas_that_nobody_counts_on_are_refused_as_those_that_are_missing() {
        for connected in ["1", "3", ""] {
            let refused = told(&[("connected_slaves", connected)]);
            assert!(matches!(refused, Err(Unsuitable::OtherReplicas { .. })), "{refused:?}");
        }
    }
}
