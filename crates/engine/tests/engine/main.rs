//! The use cases in virtual time: a reference store, scripted children, no real second passes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod faults;
mod lifecycle;
mod queueing;
mod recovery;
mod reported;
mod waiting;
mod world;
