//! Why something that was asked did not happen.

mod report;

pub(crate) use report::report;

use crate::manager_locator::StartError;
use crate::nearest::nearest_path;
use longhaul_wire::api::{PROTOCOL, Problem};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why something that was asked did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The manager refused it.
    #[error("{}", problem.title)]
    Problem { problem: Box<Problem> },
    /// No manager answers.
    #[error("no manager answers at {}", socket.display())]
    Down { socket: PathBuf, state_dir: PathBuf, started: Option<StartError>, source: io::Error },
    /// The socket may not be used.
    #[error("you may not use the manager at {}", socket.display())]
    Forbidden { socket: PathBuf, source: io::Error },
    /// Something answers that is no manager.
    #[error("the program that answers at {} is not a longhaul manager", socket.display())]
    Stranger { socket: PathBuf },
    /// The manager speaks another version.
    #[error("the manager speaks protocol {theirs}, this program speaks {PROTOCOL}")]
    Protocol { theirs: String, manager: Option<String> },
    /// The connection ended in the middle of an answer.
    #[error("the connection to the manager was lost")]
    Broken { why: String },
    /// No answer came in time.
    #[error("the manager did not answer within {} s", waited.as_secs())]
    Silent {
        /// How long its answer was waited for.
        waited: Duration,
        /// Its process, if a signal has stopped it.
        stopped: Option<u32>,
    },
    /// The answer to a launch was lost, so that nobody knows whether it was taken.
    #[error("the launch may or may not have happened: {cause}")]
    Unclear { cause: Box<Self>, launch_key: Option<bool> },
    /// It was launched, and its id could not be told.
    #[error("{id} was launched, but its id cannot be written to {to}")]
    Untold { id: String, to: String, source: io::Error },
    /// What was said makes no sense together.
    #[error("{what}")]
    Usage { what: String, why: Option<String>, help: String },
    /// Someone would have to choose.
    #[error("{what}")]
    Choice { what: String, candidates: Vec<String>, help: String },
    /// A word of the command is no text.
    #[error("argument {position} of the command is not UTF-8: {shown:?}")]
    NotText { position: usize, shown: String },
    /// A file of the caller cannot be used.
    #[error("cannot {verb} {}", path.display())]
    File { verb: &'static str, path: PathBuf, nearest: Option<PathBuf>, source: io::Error },
    /// A file of somebody else would have to be changed in more than one place.
    #[error("{} was left as it is", path.display())]
    Unchanged { path: PathBuf, why: String, paste: String },
    /// What was asked for went wrong, though it was accepted.
    #[error("{what}")]
    Unfinished { what: String, why: Option<String>, help: String },
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output { source: io::Error },
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl CliError {
    /// Makes one of a file of the caller, and looks for the one that was probably meant.
    pub(crate) fn file(verb: &'static str, path: &Path, source: io::Error) -> Self {
        let missing = source.kind() == io::ErrorKind::NotFound;
        let nearest = if missing { nearest_path(path) } else { None };
        Self::File { verb, path: path.to_owned(), nearest, source }
    }

    /// Says of a launch without an answer that it may have been taken all the same.
    pub(crate) fn of_launch(self, launch_key: Option<bool>) -> Self {
        if matches!(self, Self::Broken { .. } | Self::Silent { .. }) {
            return Self::Unclear { cause: Box::new(self), launch_key };
        }
        self
    }

    /// Gives the word that names this kind of failure on every face.
    pub(crate) fn slug(&self) -> &str {
        match self {
            Self::Problem { problem } => &problem.slug,
            Self::Down { .. } => "manager_unreachable",
            Self::Forbidden { .. } => "not_authorised",
            Self::Stranger { .. } => "not_a_manager",
            Self::Protocol { .. } => "protocol_mismatch",
            Self::Broken { .. } => "connection_broken",
            Self::Silent { .. } => "manager_timeout",
            Self::Unclear { cause, .. } => cause.slug(),
            Self::Usage { .. } | Self::NotText { .. } => "invalid_request",
            Self::Choice { .. } => "input_needed",
            Self::File { .. } | Self::Unchanged { .. } => "file_unusable",
            Self::Unfinished { .. } => "not_finished",
            Self::Output { .. } | Self::Untold { .. } => "output_unwritable",
            Self::Interrupted => "interrupted_by_user",
        }
    }

    /// Tells whether the manager may be back in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Down { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
            Self::Problem { problem } => problem.slug == "shutting_down",
            Self::Forbidden { .. }
            | Self::Stranger { .. }
            | Self::Protocol { .. }
            | Self::Unclear { .. }
            | Self::Untold { .. }
            | Self::Usage { .. }
            | Self::Choice { .. }
            | Self::NotText { .. }
            | Self::File { .. }
            | Self::Unchanged { .. }
            | Self::Unfinished { .. }
            | Self::Output { .. }
            | Self::Interrupted => false,
        }
    }

    /// Tells whether the store is away, which the manager itself waits out.
    pub(crate) fn is_of_store(&self) -> bool {
        self.slug() == "store_unavailable"
    }

    /// Tells whether nobody is left to tell: the reader of standard output went away.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Gives it as the shape that all faces share.
    pub(crate) fn into_problem(self) -> Problem {
        let report = report(&self);
        let slug = self.slug().to_owned();
        match self {
            Self::Problem { problem } => *problem,
            Self::Choice { candidates, .. } => Problem {
                help: report.advice(),
                slug,
                title: report.what,
                detail: report.why,
                candidates,
                ..Problem::default()
            },
            Self::Down { .. }
            | Self::Forbidden { .. }
            | Self::Stranger { .. }
            | Self::Protocol { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::Unclear { .. }
            | Self::Untold { .. }
            | Self::Usage { .. }
            | Self::NotText { .. }
            | Self::File { .. }
            | Self::Unchanged { .. }
            | Self::Unfinished { .. }
            | Self::Output { .. }
            | Self::Interrupted => Problem {
                help: report.advice(),
                slug,
                title: report.what,
                detail: report.why,
                ..Problem::default()
            },
        }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Self::Problem { problem: Box::new(problem) }
    }
}

impl From<io::Error> for CliError {
    fn from(source: io::Error) -> Self {
        Self::Output { source }
    }
}
