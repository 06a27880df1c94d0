//! Conversions between the request and reply types of the API and the types of the engine.

mod agent_doubt;
mod artifacts;
mod command;
mod details;
mod launch;
mod moment;
mod monitoring;
mod node;
mod outcome;
mod process;
mod queue;
mod reason;
mod remote_stage;
mod stats;
mod test_report;
mod usage;
mod why;

pub(crate) use artifacts::add_artifacts;
pub use command::{LaunchDefaults, command_line};
pub use details::{DetailLevel, output_is_gone, view, views};
pub(crate) use launch::{graceless, json_text, launch, session_policy};
pub use moment::{moment, rfc3339};
pub(crate) use moment::{seconds, span};
pub(crate) use node::{node, nodes};
pub(crate) use outcome::{launched, outcome, outcomes};
pub(crate) use process::{dating, first_error, updated_at};
pub(crate) use queue::{idle, listing};
pub(crate) use reason::of_ending as ending;
pub(crate) use stats::{stats, uses};
pub(crate) use test_report::{
    TESTS_DOUBTFUL, listed_test, reporting, results_of, results_page, test_report_len, tests,
};
pub(crate) use usage::usage;
pub(crate) use why::why;
