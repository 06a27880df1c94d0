//! Tests of the engine in virtual time, with an in-memory store and scripted commands.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot continue has failed"
)]

mod artifacts;
mod attention;
mod cascades;
mod clearing;
mod failures;
mod faults;
mod handle;
mod input;
mod interrupted;
mod lifecycle;
mod losses;
mod measure;
mod nodes;
mod orders;
mod outside;
mod progress;
mod queueing;
mod queues;
mod readiness;
mod recovery;
mod refusals;
mod reported;
mod retention;
mod sessions;
mod statistics;
mod subscribers;
mod tails;
mod test_runs;
mod trees;
mod trust;
mod turns;
mod waiting;
mod watching;
mod why;
mod world;
