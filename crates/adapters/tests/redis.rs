//! Tests of the Redis store with real servers.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking too")]

#[cfg(feature = "memory")]
#[path = "redis/audit.rs"]
mod audit;
#[path = "redis/back.rs"]
mod back;
#[cfg(feature = "memory")]
#[path = "redis/claims.rs"]
mod claims;
#[cfg(feature = "redis-cluster")]
#[path = "redis/cluster.rs"]
mod cluster;
#[path = "redis/damaged.rs"]
mod damaged;
#[path = "redis/homes.rs"]
mod homes;
#[path = "redis/lacking.rs"]
mod lacking;
#[path = "redis/lost.rs"]
mod lost;
#[cfg(feature = "sqlite")]
#[path = "redis/migrate.rs"]
mod migrate;
#[cfg(feature = "sqlite")]
#[path = "shared/moving.rs"]
mod moving;
#[path = "redis/opening.rs"]
mod opening;
#[cfg(feature = "redis-sentinel")]
#[path = "redis/partition.rs"]
mod partition;
#[path = "redis/proxy.rs"]
mod proxy;
#[cfg(feature = "redis-sentinel")]
#[path = "redis/sentinel.rs"]
mod sentinel;
#[path = "redis/server.rs"]
mod server;
#[path = "redis/suite.rs"]
mod suite;
#[cfg(feature = "redis-tls")]
#[path = "redis/tls.rs"]
mod tls;
#[path = "redis/together.rs"]
mod together;
#[path = "redis/versions.rs"]
mod versions;
