//! End-to-end tests of the shim: each test starts a real shim for one attempt, with real processes and real files.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers fail by panicking too"
)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

mod containment;
mod ending;
mod environment;
mod harness;
mod input;
mod lease;
mod measure;
mod output;
mod peers;
mod progress;
mod stopping;
