//! Tests of the PostgreSQL store with real servers.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking too")]

#[path = "shared/long_queue.rs"]
mod long_queue;
#[cfg(feature = "sqlite")]
#[path = "postgres/moves.rs"]
mod moves;
#[cfg(feature = "sqlite")]
#[path = "shared/moving.rs"]
mod moving;
#[path = "postgres/opening.rs"]
mod opening;
#[path = "postgres/process.rs"]
mod process;
#[path = "postgres/proxy.rs"]
mod proxy;
#[path = "postgres/server.rs"]
mod server;
#[path = "postgres/suite.rs"]
mod suite;
#[cfg(feature = "postgres-tls")]
#[path = "postgres/tls.rs"]
mod tls;
#[path = "postgres/together.rs"]
mod together;
