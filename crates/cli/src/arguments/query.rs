//! What may be said when looking at processes.

use crate::completion::{agents, nodes, references, sessions, statuses};
use crate::value::{BadValue, DurationArg, reference, word};
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::str::FromStr;

/// What `status` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// Processes of which all is told: ids, unique prefixes, names or @last; one project by its name, as with --project
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub targets: Vec<String>,
    /// Show what has ended too
    #[arg(short, long)]
    pub all: bool,
    /// Show only the newest, so many
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Show only the newest one, ended or not
    #[arg(short, long, conflicts_with = "limit")]
    pub latest: bool,
    /// Show only these statuses
    #[arg(long, value_name = "STATUS", value_parser = word, value_delimiter = ',',
          add = ArgValueCandidates::new(statuses))]
    pub status: Vec<String>,
    /// Show only what this session asked for
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Show only what this node runs or ran
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(nodes))]
    pub node: Option<String>,
    /// Show only this level; the roots are on level 0
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub level: Option<u8>,
    /// Show only what is behind this agent
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(agents))]
    pub agent_id: Option<String>,
    /// Show only the children of this process
    #[arg(long, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub parent: Option<String>,
    /// Show only the tree that this process belongs to
    #[arg(long, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub tree: Option<String>,
    /// Show only this type
    #[arg(long = "type", value_name = "TYPE", value_parser = word)]
    pub kind: Option<String>,
    /// Show it again whenever it changes
    #[arg(short, long)]
    pub watch: bool,
}

/// What `tree` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct TreeArgs {
    /// The process at the top: an id, a unique prefix, a name or @last; without it everything that lives
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
    /// Show what has ended too; below a process that is named that is always so
    #[arg(short, long)]
    pub all: bool,
}

/// How programs read what `logs` prints.
const LOGS_AS_JSON: &str = "\
With --json: a document on each line, a piece of output {id, stream, at, text}, or with --grep a match {id, line, text,
before, after}";

/// How programs read what `events` prints.
const EVENTS_AS_JSON: &str = "With --json: a CloudEvents document on each line, also without -f";

/// How programs read what `inspect` prints.
const INSPECT_AS_JSON: &str =
    "With --json: the document of each process on a line of its own, except on a terminal";

/// How programs read what `wait` prints.
const WAIT_AS_JSON: &str = "\
With --json: one document at the end; with --session, unless more is said, a document on a line for each batch of ends";

/// What `logs` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = LOGS_AS_JSON)]
pub struct LogsArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// Go on until they have ended
    #[arg(short, long, default_value_if("exit_status", ArgPredicate::IsPresent, "true"))]
    pub follow: bool,
    /// How many lines from the end, or all; 50 unless --since says where to begin
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true)]
    pub lines: Option<LineCount>,
    /// Only this stream
    #[arg(long, value_enum)]
    pub stream: Option<StreamName>,
    /// Only what is not older than this
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<DurationArg>,
    /// Another attempt than the latest
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub attempt: Option<u32>,
    /// Begin each line with its time
    #[arg(short, long)]
    pub timestamps: bool,
    /// Pass control characters on to the terminal
    #[arg(long)]
    pub raw: bool,
    /// Show only the lines that match this regular expression, with their numbers; exit with 1 if none does
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true, conflicts_with = "timestamps")]
    pub grep: Option<String>,
    /// With --grep: so many lines around each match
    #[arg(short = 'C', long, value_name = "N", requires = "grep",
          value_parser = clap::value_parser!(u32).range(..=100))]
    pub context: Option<u32>,
    /// With --grep: upper and lower case are the same
    #[arg(short, long, requires = "grep")]
    pub ignore_case: bool,
    /// With --grep: at most so many matches of each process
    #[arg(long, value_name = "N", requires = "grep", value_parser = clap::value_parser!(u32).range(1..))]
    pub max: Option<u32>,
    /// Fold redrawn and repeated lines
    #[arg(long, conflicts_with_all = ["follow", "raw", "grep", "timestamps"])]
    pub fold: bool,
    /// Go on until the process has ended, and exit as it did
    #[arg(long, conflicts_with_all = ["grep", "fold"])]
    pub exit_status: bool,
}

/// How many lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineCount {
    /// So many from the end.
    Last(u64),
    /// All of them.
    All,
}

impl FromStr for LineCount {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Last).map_err(|_not_a_number| BadValue::new("say a number, or all"))
    }
}

/// One of the two streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StreamName {
    /// Standard output
    #[value(alias = "out")]
    Stdout,
    /// Standard error
    #[value(alias = "err")]
    Stderr,
}

/// What `wait` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = WAIT_AS_JSON)]
pub struct WaitArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required_unless_present = "session", value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// All processes of this session, those that have ended already too
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Until the first of them
    #[arg(long, conflicts_with = "all")]
    pub any: bool,
    /// Until the last of them; this is what happens anyway
    #[arg(long)]
    pub all: bool,
    /// What to wait for
    #[arg(long = "for", value_name = "STATUS", value_enum, default_value_t = WaitGoal::Ended)]
    pub goal: WaitGoal,
    /// Give up after this time, with exit code 75
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub timeout: Option<DurationArg>,
}

impl WaitArgs {
    /// Whether all of a session is waited for, which is told batch by batch.
    pub(crate) fn prints_completions(&self) -> bool {
        self.session.is_some() && self.ids.is_empty() && !self.any && self.goal == WaitGoal::Ended
    }
}

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WaitGoal {
    /// Its end
    #[default]
    Ended,
    /// Its start
    Running,
    /// That it does what it was started for, as its launch asked to find out
    Ready,
}

/// What `events` takes.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = EVENTS_AS_JSON)]
pub struct EventsArgs {
    /// Only of this process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only what comes after this cursor; start for everything that is kept
    #[arg(long, value_name = "CURSOR", value_parser = word)]
    pub after: Option<String>,
    /// Only of this session
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Only these events, such as PROCESS_FAILED
    #[arg(long = "type", value_name = "EVENT", value_parser = word, value_delimiter = ',')]
    pub types: Vec<String>,
}

/// What `inspect` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = INSPECT_AS_JSON)]
pub struct InspectArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
}

/// What `explain` takes.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The word in brackets behind an error; without it all are listed
    pub code: Option<String>,
}
