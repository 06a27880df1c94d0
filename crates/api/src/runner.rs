//! Runners, which build the command of an agent from a prompt according to the configuration.
//!
//! When a manager accepts a launch that has a prompt and no command, the runner builds the command. The record contains
//! this complete command, so a later change of the configuration does not affect the process. No shell is involved: a
//! placeholder is replaced inside one argument, and an argument is never split.

mod agent_runner;
mod argument_template;
mod created_session;
mod error;
mod expansion;
mod installed;
mod key_rule;
mod runner_set;

pub use agent_runner::{AgentRunner, RemoteSettings, RunnerSettings};
pub use error::RunnerError;
pub(crate) use expansion::{ExpandedLaunch, ExpandedRunner, expand};
pub(crate) use installed::check_installed;
pub use runner_set::{RunnerHost, RunnerSet};
