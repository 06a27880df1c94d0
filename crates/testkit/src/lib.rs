//! Contract suites, fakes and generators for those who write an adapter of longhaul.
//!
//! [`suite`] holds one rule for each promise of a port: an adapter runs them all in one line. [`fakes`] stand in for
//! the outside while an engine is tested: time that a test moves, children that follow a script, a store that fails
//! when it is told to. [`model`] is a store that is obviously right, and holds any other to it. [`scripts`] generates
//! specifications, inputs and whole lives for property tests.

pub mod fakes;
#[cfg(feature = "mock")]
pub mod mocks;
pub mod model;
pub mod scripts;
pub mod suite;
