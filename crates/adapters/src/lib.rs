//! Driven adapters of longhaul, one module and one Cargo feature each. No module imports another, except that stores on
//! [`rows`] import it.
//!
//! | feature | module | port | purpose |
//! | --- | --- | --- | --- |
//! | `rows` | [`rows`] | store | the rules of a store, written once, on a small port for databases |
//! | `memory` | [`memory`] | store | tests and embedding; the rules of `rows` on maps in memory |
//! | `sqlite` | [`sqlite`] | store | local store |
//! | `postgres` | [`postgres`] | store | shared store of a cluster |
//! | `fs` | [`fs`] | store | local store in JSON files for people and tools |
//! | `redis` | [`redis`] | store | shared store of a cluster |
//! | `outbox` | [`outbox`] | store, around a shared store | a node's own work while the shared store is away or has
//! lost it |
//! | `signing` | [`signing`] | launch signer | signed launches in a shared store |
//! | `peers` | [`peers`] | peer transport | requests to other nodes |
//! | `os` | [`os`] | spawner, output, prober | commands on this machine, each under its shim |
//! | `system` | [`system`] | clock, ids, environment store | time, randomness and disk of this machine |
//! | `webhook` | [`webhook`] | webhook transport, reader cursors | delivery of events over HTTP |

#[cfg(feature = "redis")]
mod damage;
#[cfg(any(feature = "outbox", feature = "sqlite"))]
mod database;
#[cfg(any(feature = "system", feature = "webhook"))]
mod durable;
#[cfg(any(feature = "fs", feature = "redis", feature = "rows", feature = "sqlite"))]
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
#[cfg(any(feature = "rows", feature = "sqlite"))]
mod placement_class;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "fs", feature = "redis", feature = "sqlite"))]
mod prefix;
#[cfg(any(feature = "fs", feature = "rows"))]
mod record_json;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "rows")]
pub mod rows;
#[cfg(feature = "seal")]
pub mod signing;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "system")]
pub mod system;
#[cfg(any(feature = "redis", feature = "rows"))]
mod tail_frames;
#[cfg(any(feature = "peers", feature = "postgres-tls", feature = "webhook"))]
mod trust;
#[cfg(feature = "webhook")]
pub mod webhook;
