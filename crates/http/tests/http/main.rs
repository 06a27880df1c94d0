//! Tests of the HTTP interface with an engine whose ports are all simulated.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test helpers fail by panicking"
)]

mod artifacts;
mod attention;
mod control;
mod document;
mod events;
mod garbage;
mod hostile;
mod idempotency;
mod launch;
mod list;
mod metrics;
mod node;
mod output;
mod peers;
mod queue;
mod ready;
mod reference;
mod report;
mod request;
mod revision;
mod session;
mod show;
mod socket;
mod tests;
mod text;
mod tree;
mod upkeep;
mod wait;
mod world;
