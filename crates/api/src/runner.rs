//! Runners: they build the command of an agent from a prompt, as the configuration describes.
//!
//! A launch with a prompt and without a command is expanded when it is accepted. The record then contains the finished
//! command, so that a later change of the configuration does not change what runs. No shell is involved: a placeholder
//! is replaced inside one argument, and an argument is never split.

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
