//! Port for readiness probes.

use async_trait::async_trait;
use std::fmt::{self, Debug};
use std::time::Duration;

/// Runs a probe to check if a running command is ready.
///
/// A probe that has no result within `time_limit` counts as failed.
///
/// # Cancel safety
/// Dropping the call ends the probe and all processes that the probe started.
#[async_trait]
pub trait Prober: Debug + Send + Sync + 'static {
    /// Returns true if the response to an HTTP GET of the address has a status from 200 to 399. Redirects are not
    /// followed.
    ///
    /// Returns false for an address that cannot be contacted, for example because of its scheme or an unknown host.
    async fn answers(&self, url: &str, time_limit: Duration) -> bool;

    /// Returns true if a command exits with code 0. The command has no input and its output is discarded. The command
    /// and all its descendants are killed when `time_limit` is over or the call is dropped.
    async fn succeeds(&self, order: ProbeCommand, time_limit: Duration) -> bool;
}

/// A probe command. Its exit code reports if the monitored command is ready.
#[derive(Clone, PartialEq, Eq)]
pub struct ProbeCommand {
    /// Program: a path, or a name that is searched in the `PATH` of the environment.
    pub program: String,
    /// Arguments of the probe program.
    pub args: Vec<String>,
    /// Absolute path of the working directory of the probe.
    pub directory: String,
    /// Complete environment of the program, as names and values.
    pub environment: Vec<(String, String)>,
}

impl Debug for ProbeCommand {
    /// Omits the values of the environment variables, because they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeCommand")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("directory", &self.directory)
            .field("environment", &self.environment.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

/// A prober that runs no probes, for nodes that run no commands. Every probe fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopProber;

#[async_trait]
impl Prober for NoopProber {
    async fn answers(&self, _url: &str, _time_limit: Duration) -> bool {
        false
    }

    async fn succeeds(&self, _order: ProbeCommand, _time_limit: Duration) -> bool {
        false
    }
}
