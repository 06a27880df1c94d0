//! End-to-end tests of the program, with real managers, clients and commands.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot continue has failed"
)]

mod bench;
mod binding;
mod client;
mod config;
mod copied;
mod displaced;
mod doctor;
mod environments;
mod full_disk;
mod handle;
mod idle;
mod lifecycle;
mod network;
mod node_name;
mod other_node;
mod other_store;
mod outbox;
mod own_store;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[expect(dead_code, reason = "no test of this program kills a server")]
#[path = "../../../adapters/tests/postgres/process.rs"]
mod postgres_process;
mod shared_store;
mod start;
mod store;
mod store_gone;
#[cfg(feature = "otel")]
mod telemetry;
mod telling;
mod trust;
