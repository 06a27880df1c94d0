//! The HTTP face over an engine with everything around it faked.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

mod control;
mod launch;
mod list;
mod output;
mod report;
mod socket;
mod wait;
mod world;
