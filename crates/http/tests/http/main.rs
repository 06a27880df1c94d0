//! The HTTP face over an engine with everything around it faked.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

mod control;
mod hostile;
mod launch;
mod list;
mod output;
mod queue;
mod report;
mod revision;
mod session;
mod show;
mod socket;
mod tree;
mod upkeep;
mod wait;
mod world;
