//! Generators for property tests: specs, inputs, and whole histories of processes.
//!
//! ```
//! use longhaul_testkit::scripts;
//! use proptest::prelude::*;
//!
//! proptest!(|(life in scripts::lives(20))| {
//!     let records = life.play();
//!     prop_assert!(!records.is_empty());
//! });
//! ```

mod inputs;
mod life;
mod specs;

pub use inputs::{
    commands, conditions, endings, exits, inputs, live_stats, observations, pending_actions, reports,
};
pub(crate) use life::aim;
pub use life::{ProcessScript, ScriptEvent, ScriptedRecord, lives};
pub use specs::{
    children, commands_to_run, placements, policies, ready_whens, reported, retries, session_policies,
    silences, specs, watch_patterns,
};
