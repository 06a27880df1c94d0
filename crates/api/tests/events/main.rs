//! What subscribers are told, with everything around the engine faked.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod golden;
mod notices;
mod streams;
mod world;
