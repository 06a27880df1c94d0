//! Tests of the MCP interface. The engine is real; its environment is simulated.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers fail by panicking"
)]

mod artifacts;
mod attention;
mod bounds;
mod catalogue;
mod eras;
mod guide;
mod http;
mod output;
mod resources;
mod schema;
mod sessions;
mod socket;
mod tasks;
mod tests;
mod tools;
mod wait;
mod world;
