//! Whether something outside works yet.

use async_trait::async_trait;
use std::fmt::{self, Debug};
use std::time::Duration;

/// Finds out whether a command does what it was started for.
///
/// An answer is given within the patience of the question; what gives none by then counts as not. Dropping a question
/// ends it, and leaves nothing of it behind.
#[async_trait]
pub trait Prober: Debug + Send + Sync + 'static {
    /// Whether an address answers an HTTP GET with a status from 200 to 399. Redirects are not followed.
    ///
    /// An address that cannot be asked (another scheme, an unknown host) gives no answer.
    async fn answers(&self, url: &str, patience: Duration) -> bool;

    /// Whether a command ends with code 0. Its output goes nowhere and its input is empty; it is killed with all that it
    /// started when the patience is over or the question is dropped.
    async fn succeeds(&self, order: ProbeCommand, patience: Duration) -> bool;
}

/// A command that tells by its exit code whether another works.
#[derive(Clone, PartialEq, Eq)]
pub struct ProbeCommand {
    /// The program: a path, or a name that is searched in the `PATH` of the environment.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The absolute working directory.
    pub directory: String,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
}

impl Debug for ProbeCommand {
    /// Prints the names of variables only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeCommand")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("directory", &self.directory)
            .field("environment", &self.environment.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

/// Asks nothing: whatever it is asked about does not work yet. For nodes that run no commands.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopProber;

#[async_trait]
impl Prober for NoopProber {
    async fn answers(&self, _url: &str, _patience: Duration) -> bool {
        false
    }

    async fn succeeds(&self, _order: ProbeCommand, _patience: Duration) -> bool {
        false
    }
}
