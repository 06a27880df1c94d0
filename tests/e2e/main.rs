//! Tests of the whole product as a user runs it: the real programs, a real state directory and real processes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step fails the test")]

mod agent;
mod agents;
mod artifacts;
mod attention;
mod bad_input;
mod clocks;
mod containment;
mod fake_agent;
mod frameworks;
mod input;
mod lifecycle;
mod links;
mod manager;
mod nodes;
mod output;
mod peers;
mod progress;
mod readme;
mod recovery;
mod remote_sessions;
mod reported;
mod reuse;
mod rows_c;
mod rows_d;
mod rows_e;
mod rows_embedded;
mod rows_h;
mod rows_q;
mod runners;
mod secrets;
mod socket;
mod survival;
mod terminal;
mod test_runs;
mod work;
