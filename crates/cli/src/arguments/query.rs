//! Arguments of the subcommands that show processes, output and events.

use crate::completion::{agents, nodes, references, sessions, statuses};
use crate::value::{BadValue, DurationArg, reference, word};
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::str::FromStr;

/// Arguments of `status`.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// Processes to show in detail: ids, unique prefixes, names or @last; or one project name
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub targets: Vec<String>,
    /// Include ended processes
    #[arg(short, long)]
    pub all: bool,
    /// Show only the newest N processes
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Show only the newest process, live or ended
    #[arg(short, long, conflicts_with = "limit")]
    pub latest: bool,
    /// Show only processes with these statuses
    #[arg(long, value_name = "STATUS", value_parser = word, value_delimiter = ',',
          add = ArgValueCandidates::new(statuses))]
    pub status: Vec<String>,
    /// Show only processes of this session
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Show only processes of this node
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(nodes))]
    pub node: Option<String>,
    /// Show only processes on this level; roots are on level 0
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub level: Option<u8>,
    /// Show only processes of this agent
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(agents))]
    pub agent_id: Option<String>,
    /// Show only the children of this process
    #[arg(long, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub parent: Option<String>,
    /// Show only the tree that this process belongs to
    #[arg(long, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub tree: Option<String>,
    /// Show only processes of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = word)]
    pub kind: Option<String>,
    /// Update the list whenever it changes
    #[arg(short, long)]
    pub watch: bool,
}

/// Arguments of `tree`.
#[derive(Clone, Debug, Default, Args)]
pub struct TreeArgs {
    /// Root of the tree: an id, a unique prefix, a name or @last [default: all live processes]
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
    /// Include ended processes; with ID, they are always included
    #[arg(short, long)]
    pub all: bool,
}

/// JSON output of `logs`.
const LOGS_AS_JSON: &str = "\
With --json: one document per line, a piece of output {id, stream, at, text}, or with --grep a match {id, line, text,
before, after}";

/// JSON output of `events`.
const EVENTS_AS_JSON: &str = "With --json: one CloudEvents document per line, also without -f";

/// JSON output of `inspect`.
const INSPECT_AS_JSON: &str = "With --json: one document per line, except on a terminal";

/// JSON output of `wait`.
const WAIT_AS_JSON: &str = "\
With --json: one document at the end; with --session alone, one document per line for each batch of
ends";

/// Arguments of `logs`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = LOGS_AS_JSON)]
pub struct LogsArgs {
    /// Processes: ids, unique prefixes, names or @last
    #[arg(required_unless_present = "session", value_name = "ID", value_parser = reference,
          add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// Show the output of all processes of this session
    #[arg(long, value_name = "ID", conflicts_with = "ids", value_parser = word,
          add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Follow the output until the processes end
    #[arg(short, long, default_value_if("exit_status", ArgPredicate::IsPresent, "true"))]
    pub follow: bool,
    /// Number of lines from the end, or all [default: 50; all with --since]
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true)]
    pub lines: Option<LineCount>,
    /// Show only this stream
    #[arg(long, value_enum)]
    pub stream: Option<StreamName>,
    /// Show only output since this time or duration
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<DurationArg>,
    /// Show this attempt [default: the latest]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub attempt: Option<u32>,
    /// Print the time before each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// Do not escape control characters
    #[arg(long)]
    pub raw: bool,
    /// Show only lines that match this regular expression, with line numbers; exit with 1 if no line matches
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true, conflicts_with = "timestamps")]
    pub grep: Option<String>,
    /// With --grep: show this number of lines before and after each match
    #[arg(short = 'C', long, value_name = "N", requires = "grep",
          value_parser = clap::value_parser!(u32).range(..=100))]
    pub context: Option<u32>,
    /// With --grep: ignore case
    #[arg(short, long, requires = "grep")]
    pub ignore_case: bool,
    /// With --grep: show at most this number of matches of each process
    #[arg(long, value_name = "N", requires = "grep", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_matches: Option<u32>,
    /// Collapse redrawn and repeated lines
    #[arg(long, conflicts_with_all = ["follow", "raw", "grep", "timestamps"])]
    pub fold: bool,
    /// Follow the output until the process ends, and exit with its exit code
    #[arg(long, conflicts_with_all = ["grep", "fold"])]
    pub exit_status: bool,
}

/// Number of lines to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineCount {
    /// Only this number of lines, counted from the end of the output.
    Last(u64),
    /// All lines.
    All,
}

impl FromStr for LineCount {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Last).map_err(|_not_a_number| BadValue::new("use a number, or all"))
    }
}

/// Output stream of a command: standard output or standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StreamName {
    /// Standard output
    #[value(alias = "out")]
    Stdout,
    /// Standard error
    #[value(alias = "err")]
    Stderr,
}

/// Arguments of `wait`.
#[derive(Clone, Debug, Args)]
#[command(after_help = WAIT_AS_JSON)]
pub struct WaitArgs {
    /// Processes: ids, unique prefixes, names or @last
    #[arg(required_unless_present = "session", value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// Wait for all processes of this session, including those that have ended
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Wait until the first process ends
    #[arg(long, conflicts_with = "all")]
    pub any: bool,
    /// Wait until all processes end; this is the default
    #[arg(long)]
    pub all: bool,
    /// State to wait for
    #[arg(long = "for", value_name = "STATUS", value_enum, default_value_t = WaitGoal::Ended)]
    pub goal: WaitGoal,
    /// Stop waiting after this time, with exit code 75
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub timeout: Option<DurationArg>,
}

impl WaitArgs {
    /// Returns true if `wait` waits for a whole session. The completions of a session are printed in batches.
    pub(crate) fn prints_completions(&self) -> bool {
        self.session.is_some() && self.ids.is_empty() && !self.any && self.goal == WaitGoal::Ended
    }
}

/// State of a process for which `wait` waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WaitGoal {
    /// The end of the process
    #[default]
    Ended,
    /// The start of the process
    Running,
    /// The readiness of the process, as defined by its readiness check
    Ready,
}

/// Arguments of `events`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = EVENTS_AS_JSON)]
pub struct EventsArgs {
    /// Show only events of this process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
    /// Follow new events
    #[arg(short, long)]
    pub follow: bool,
    /// Show only events after this cursor; `start` shows all stored events
    #[arg(long, value_name = "CURSOR", value_parser = word)]
    pub after: Option<String>,
    /// Show only events of this session
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Show only these event types, such as PROCESS_FAILED
    #[arg(long = "type", value_name = "EVENT", value_parser = word, value_delimiter = ',')]
    pub types: Vec<String>,
}

/// Arguments of `inspect`.
#[derive(Clone, Debug, Args)]
#[command(after_help = INSPECT_AS_JSON)]
pub struct InspectArgs {
    /// Processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Error code, as printed in brackets after an error; without CODE, all codes are listed
    pub code: Option<String>,
}
