//! Contract suites, fakes and generators for those who write an adapter of longhaul.
//!
//! [`fakes`] stand in for the outside while an engine is tested: time that a test moves, children that follow a script,
//! a store that fails when it is told to.

pub mod fakes;
