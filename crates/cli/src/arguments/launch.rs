//! Arguments of `run`.

use super::{MonitorArgs, PlacementArgs, WorkArgs};
use crate::value::{BackoffArg, DurationArg, EnvArg, RetryOnArg, SignalArg, SizeArg, StdinArg, word};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  longhaul run -- cargo test                      in the foreground: its output, its exit code
  longhaul run -b --name tests -- cargo test      in the background: prints the id
  longhaul run -b --retry 3 --backoff 1s..60s -- ./sync
  longhaul run --shell 'make | tee build.log'
  longhaul run -b --agent claude --prompt 'Fix the login test'
  zcat dump.gz | longhaul run -- psql             the command reads the pipe

In the foreground the first Ctrl-C cancels the process, the second kills it, and Ctrl-\\ leaves it to the background.

Standard input: in the foreground, the command reads a pipe or a redirected file; with a terminal it reads an empty
input. Inside a loop such as `while read`, use --stdin none, so that the command does not read the input of the loop.
In the background, only --stdin - passes standard input, and `longhaul run` returns once all input has been read.
--stdin <(COMMAND) and other descriptors, such as /dev/fd/3, work too. The input is not stored: a process that may run
more than once (--retry, --any-node) needs --stdin FILE, and `longhaul restart` does not repeat the input. After a
restart, or if this program is killed before the end of the input, the input stays open: `longhaul send ID` writes to
it, and `longhaul send --close ID` closes it.";

/// Arguments of `run`.
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Run in the background and print the id
    #[arg(short, long)]
    pub background: bool,
    /// Options of every launch.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Working directory of the command
    #[arg(short = 'C', long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Set an environment variable; NAME alone copies the current value
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub env: Vec<EnvArg>,
    /// Set the environment variables of a file with NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Do not pass the current environment to the command
    #[arg(long)]
    pub clear_env: bool,
    /// Run COMMAND as one command line of sh
    #[arg(long)]
    pub shell: bool,
    /// Stop the process after this time; 0 means never
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub timeout: Option<DurationArg>,
    /// Time between the stop signal and KILL [default: 5s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub grace: Option<DurationArg>,
    /// Signal that asks the process to end [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<SignalArg>,
    /// Maximum number of retries after a failure [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retry: Option<u32>,
    /// First and longest delay between attempts, such as 1s..60s
    #[arg(long, value_name = "FIRST[..LONGEST]", requires = "retry", allow_hyphen_values = true)]
    pub backoff: Option<BackoffArg>,
    /// Retry only after these exit codes; `timeout` and `interrupted` are also allowed
    #[arg(
        long,
        value_name = "CODES",
        value_delimiter = ',',
        requires = "retry",
        allow_negative_numbers = true
    )]
    pub retry_on: Vec<RetryOnArg>,
    /// Standard input: a file, - or /dev/fd/N for an input of this program, none for empty input
    #[arg(long, value_name = "FILE|-|none", value_parser = OsStringValueParser::new().map(StdinArg::from))]
    pub stdin: Option<StdinArg>,
    /// Keep the standard input open for `longhaul send`
    #[arg(long, conflicts_with = "stdin")]
    pub stdin_pipe: bool,
    /// Do not kill descendants that outlive the command
    #[arg(long)]
    pub keep_leftovers: bool,
    /// Store at most this much of the start of the output [default: 1MiB]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub log_head: Option<SizeArg>,
    /// Store at most this much of the end of the output [default: 64MiB]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub log_tail: Option<SizeArg>,
    /// Keep the files that match this pattern, relative to the working directory, such as 'reports/**/*.xml'
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub artifact: Vec<String>,
    /// Read test results: detect (only of known frameworks and --type test_suite), auto (of every command), junit:PATH
    /// (also from the JUnit reports at PATH), or off
    #[arg(long, value_name = "SOURCE", value_parser = word)]
    pub report: Option<String>,
    /// Maximum CPU time of each attempt
    #[arg(long, help_heading = "Limits", value_name = "TIME", allow_hyphen_values = true)]
    pub max_cpu: Option<DurationArg>,
    /// Maximum memory of each attempt
    #[arg(long, help_heading = "Limits", value_name = "SIZE", allow_negative_numbers = true)]
    pub max_memory: Option<SizeArg>,
    /// Maximum number of open files
    #[arg(long, help_heading = "Limits", value_name = "N", allow_negative_numbers = true)]
    pub max_files: Option<u64>,
    /// Maximum number of operating system processes
    #[arg(long, help_heading = "Limits", value_name = "N", allow_negative_numbers = true)]
    pub max_processes: Option<u64>,
    /// Maximum size of a file that the command writes
    #[arg(long, help_heading = "Limits", value_name = "SIZE", allow_negative_numbers = true)]
    pub max_file_size: Option<SizeArg>,
    /// Placement options.
    #[command(flatten)]
    pub place: PlacementArgs,
    /// Monitoring options.
    #[command(flatten)]
    pub attention: MonitorArgs,
    /// Print the launch request without starting the process
    #[arg(long)]
    pub dry_run: bool,
    /// Command with its arguments; with --prompt, the runner of the agent builds the command
    #[arg(required_unless_present = "prompt", trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
