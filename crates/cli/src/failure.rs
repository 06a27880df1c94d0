//! Errors of the command line.

mod report;

pub(crate) use report::{INSTALLATION, report};

use crate::nearest::nearest_path;
use longhaul_client::ClientError;
use longhaul_wire::api::Problem;
use std::io;
use std::path::{Path, PathBuf};

/// Error of a subcommand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A request to the manager failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The response to a launch or a restart was lost, so it is unknown whether the manager executed the request.
    #[error("it is unknown whether the manager executed the request: {cause}")]
    Unclear { cause: Box<Self>, launch_key: Option<bool> },
    /// The process was launched, but its id could not be written to standard output or to a file.
    #[error("process {id} was launched, but its id cannot be written to {to}")]
    Untold { id: String, to: String, source: io::Error },
    /// The arguments are invalid or contradict each other.
    #[error("{what}")]
    Usage { what: String, why: Option<String>, help: String },
    /// The user must make a selection or confirm an action, but there is no way to ask the user.
    #[error("{what}")]
    Choice { what: String, candidates: Vec<String>, help: String },
    /// An argument of the command is not UTF-8.
    #[error("argument {position} of the command is not UTF-8: {shown:?}")]
    NotText { position: usize, shown: String },
    /// A file that the caller named cannot be used.
    #[error("cannot {verb} {}", path.display())]
    File { verb: &'static str, path: PathBuf, nearest: Option<PathBuf>, source: io::Error },
    /// The configuration file of another program was left unchanged, because the edit would have affected more than one
    /// entry.
    #[error("{} was left unchanged", path.display())]
    Unchanged { path: PathBuf, why: String, paste: String },
    /// The request was accepted, but its execution failed.
    #[error("{what}")]
    Unfinished { what: String, why: Option<String>, help: String },
    /// Writing to standard output failed.
    #[error("cannot write to standard output")]
    Output { source: io::Error },
    /// The user pressed Ctrl-C.
    #[error("the user interrupted the command")]
    Interrupted,
}

impl CliError {
    /// Creates the error for a file that the caller named. If the file does not exist, the error contains the most
    /// similar existing path.
    pub(crate) fn file(verb: &'static str, path: &Path, source: io::Error) -> Self {
        let missing = source.kind() == io::ErrorKind::NotFound;
        let nearest = if missing { nearest_path(path) } else { None };
        Self::File { verb, path: path.to_owned(), nearest, source }
    }

    /// Converts the error of a launch. If the response was lost, the new error says that the process may have been
    /// created.
    ///
    /// `launch_key` says whether the launch has a launch key; `None` means that it cannot have one.
    pub(crate) fn of_launch(self, launch_key: Option<bool>) -> Self {
        if matches!(self, Self::Client(ClientError::Broken { .. } | ClientError::Silent { .. })) {
            return Self::Unclear { cause: Box::new(self), launch_key };
        }
        self
    }

    /// Returns the error code, which is the same in the CLI, HTTP and MCP.
    pub(crate) fn slug(&self) -> &str {
        match self {
            Self::Client(error) => error.slug(),
            Self::Unclear { cause, .. } => cause.slug(),
            Self::Usage { .. } | Self::NotText { .. } => "invalid_request",
            Self::Choice { .. } => "input_needed",
            Self::File { .. } | Self::Unchanged { .. } => "file_unusable",
            Self::Unfinished { .. } => "not_finished",
            Self::Output { .. } | Self::Untold { .. } => "output_unwritable",
            Self::Interrupted => "interrupted_by_user",
        }
    }

    /// Returns true if the failure is temporary, so that a manager may be available again soon.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_temporary())
    }

    /// Returns true if the manager's store does not answer. The manager itself waits until the store is available
    /// again.
    pub(crate) fn is_of_store(&self) -> bool {
        self.slug() == "store_unavailable"
    }

    /// Returns true if the reader of standard output has closed it. Such a failure needs no message.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Converts the failure to the error document that the CLI, HTTP and MCP share.
    pub(crate) fn into_problem(self) -> Problem {
        let report = report(&self);
        let slug = self.slug().to_owned();
        match self {
            Self::Client(ClientError::Problem { problem }) => *problem,
            Self::Choice { candidates, .. } => Problem {
                help: report.advice(),
                slug,
                title: report.what,
                detail: report.why,
                candidates,
                ..Problem::default()
            },
            Self::Client(_)
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
        Self::Client(problem.into())
    }
}

impl From<io::Error> for CliError {
    fn from(source: io::Error) -> Self {
        Self::Output { source }
    }
}
