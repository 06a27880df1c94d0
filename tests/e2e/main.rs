//! The whole product, as a user has it: the real program, a real state directory, real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod containment;
mod lifecycle;
mod manager;
mod output;
mod readme;
mod reported;
mod survival;
mod work;
