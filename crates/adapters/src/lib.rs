//! Driven adapters of longhaul, one module and one Cargo feature each; none imports another, except that `fs` is
//! `memory` with a log.
//!
//! | feature | module | port | for |
//! | --- | --- | --- | --- |
//! | `memory` | [`memory`] | store | tests and embedding; the reference |
//! | `sqlite` | [`sqlite`] | store | one machine |
//! | `fs` | [`fs`] | store | people and tools that want to read JSON files |
//! | `redis` | [`redis`] | store | many machines |
//! | `outbox` | [`outbox`] | store, around that of many machines | a node's own work while that store is away or has lost it |
//! | `signing` | [`signing`] | notary | launches in a store of many machines |
//! | `peers` | [`peers`] | peers | what only other nodes have |
//! | `os` | [`os`] | spawner, output, prober | commands on this machine, each under its shim |
//! | `system` | [`system`] | clock, ids, vault | this machine's time, chance and disk |
//! | `webhook` | [`webhook`] | post, bookmarks | events for programs elsewhere |

#[cfg(feature = "redis")]
mod damage;
#[cfg(any(feature = "outbox", feature = "sqlite"))]
mod database;
#[cfg(any(feature = "system", feature = "webhook"))]
mod durable;
#[cfg(any(feature = "memory", feature = "redis", feature = "sqlite"))]
mod fingerprint;
#[cfg(feature = "fs")]
pub mod fs;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "os")]
pub mod os;
#[cfg(feature = "outbox")]
pub mod outbox;
#[cfg(feature = "peers")]
pub mod peers;
#[cfg(any(feature = "memory", feature = "redis", feature = "sqlite"))]
mod prefix;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "seal")]
pub mod signing;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "system")]
pub mod system;
#[cfg(any(feature = "peers", feature = "webhook"))]
mod trust;
#[cfg(feature = "webhook")]
pub mod webhook;
