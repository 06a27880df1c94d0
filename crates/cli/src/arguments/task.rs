//! Arguments of `task`, and of the hidden command `runner`.

use super::RunArgs;
use super::launch_options::WorkArgs;
use crate::value::{DurationArg, EnvArg, key, word};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  longhaul task atlas 'Fix the login test' --agent claude      print the output of the agent
  longhaul task atlas 'Fix the login test' -b --agent codex --model gpt-5
  longhaul task atlas -b -- '-v is ignored: fix that'          a text that starts with a dash

The agent is a runner: a built-in one (claude, codex, gemini, opencode, aider, jules, shell), or one that you define
in the configuration as [runner.NAME]. The setting runner.default names the runner to use without --agent. No shell
interprets DESCRIPTION. When the agent has ended, `longhaul status ID` shows its last message as the result.";

/// Arguments of `task`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TaskArgs {
    /// Project that the task belongs to
    #[arg(value_name = "PROJECT", value_parser = word)]
    pub of_project: String,
    /// Task for the agent
    #[arg(value_name = "DESCRIPTION")]
    pub task: String,
    /// Run in the background and print the id
    #[arg(short, long)]
    pub background: bool,
    /// Agent: the name of a runner [default: runner.default]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Model that the agent uses [default: the choice of the agent]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Name that can be used instead of the id
    #[arg(short, long)]
    pub name: Option<String>,
    /// Working directory of the agent
    #[arg(short = 'C', long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Set an environment variable; NAME alone copies the current value
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub env: Vec<EnvArg>,
    /// Stop the agent after this time; 0 means never
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub timeout: Option<DurationArg>,
    /// Session of the process [default inside a process: its session]
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Id of the session message that asked for the task
    #[arg(long, value_name = "ID")]
    pub parent_message_id: Option<String>,
    /// Concurrency key [default: the key of the model]
    #[arg(long, value_parser = key)]
    pub key: Option<String>,
    /// Never start a second process with this key in the session
    #[arg(long, value_name = "KEY")]
    pub launch_key: Option<String>,
    /// Fail instead of waiting for a slot
    #[arg(long)]
    pub no_queue: bool,
    /// Also write the id to this file
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,
    /// Print the launch request without starting the process
    #[arg(long)]
    pub dry_run: bool,
}

impl TaskArgs {
    /// Returns the arguments of `run` that correspond to these arguments, without the project.
    pub(crate) fn as_run(&self) -> RunArgs {
        RunArgs {
            background: self.background,
            work: WorkArgs {
                name: self.name.clone(),
                session: self.session.clone(),
                launch_key: self.launch_key.clone(),
                id_file: self.id_file.clone(),
                key: self.key.clone(),
                no_queue: self.no_queue,
                agent: self.agent.clone(),
                model: self.model.clone(),
                prompt: Some(self.task.clone()),
                parent_message_id: self.parent_message_id.clone(),
                ..WorkArgs::default()
            },
            directory: self.directory.clone(),
            env: self.env.clone(),
            timeout: self.timeout,
            dry_run: self.dry_run,
            ..RunArgs::default()
        }
    }
}

/// Arguments of the hidden command `runner`.
#[derive(Clone, Debug, Args)]
pub struct RunnerArgs {
    /// Plan as JSON
    #[arg(value_name = "PLAN")]
    pub plan: String,
}
