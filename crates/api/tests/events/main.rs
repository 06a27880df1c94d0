//! Tests event streams, hooks and webhooks with an engine whose ports are all fakes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod courier;
mod golden;
mod hooks;
mod lists;
mod notices;
mod outside;
mod relay;
mod streams;
mod world;
