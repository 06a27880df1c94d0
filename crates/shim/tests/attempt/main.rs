//! The shim as it really runs: one attempt, real processes, real files.

mod containment;
mod ending;
mod environment;
mod harness;
mod output;
mod peers;
mod stopping;
