//! Contract suites, fakes and generators for the tests of adapters and of the engine.
//!
//! - [`suite`] contains one test for each promise of a port. An adapter runs all of them with one macro call.
//! - [`fakes`] replaces the outside world in tests of an engine: a clock that the test moves, processes that follow a
//!   script, a store that fails on demand.
//! - [`model`] is a simple store with obviously correct behaviour, with which any other store is compared.
//! - [`scripts`] generates specs, inputs and whole histories of processes for property tests.

pub mod fakes;
#[cfg(feature = "mock")]
pub mod mocks;
pub mod model;
pub mod scripts;
pub mod suite;
