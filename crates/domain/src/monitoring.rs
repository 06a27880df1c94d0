//! The conditions and output patterns that are monitored while a command runs.

use std::time::Duration;

/// The check that determines when a command is ready.
///
/// The check is repeated in each attempt until it succeeds. A command without a check is never ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyWhen {
    /// Ready when a process of the command's tree listens on this TCP port.
    Port(u16),
    /// Ready when the response to an HTTP GET of this URL has a status from 200 to 399.
    Http {
        /// URL to request, starting with `http://`.
        url: String,
    },
    /// Ready when a line of the output matches this regular expression.
    Log {
        /// Regular expression.
        pattern: String,
    },
    /// Ready when this probe exits with code 0. The probe runs in the directory and with the environment of the
    /// monitored command.
    Command {
        /// Program of the probe.
        program: String,
        /// Arguments of the probe.
        args: Vec<String>,
    },
}

/// A regular expression that is searched for in the output. Each matching line is reported as an event.
///
/// Output that was written while no manager was running is not searched. At most 100 matches of a pattern are reported
/// for each attempt; the count starts again at 0 when a new manager starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPattern {
    /// Name of the pattern, which its events contain.
    pub name: String,
    /// Regular expression.
    pub pattern: String,
    /// Output streams to search.
    pub source: WatchSource,
}

/// The output streams in which a pattern is searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchSource {
    /// Both streams.
    #[default]
    Both,
    /// The pattern is searched for in standard output only.
    Stdout,
    /// The pattern is searched for in standard error only.
    Stderr,
}

/// Ways in which longhaul detects the progress of a command, in addition to explicit reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProgressDetection {
    /// Progress is not detected.
    #[default]
    Off,
    /// longhaul reads the progress that the command writes to the descriptor in `LONGHAUL_PROGRESS_FD`.
    Descriptor,
    /// longhaul reads the progress from the descriptor, and from the progress bars of common programs in the output.
    Auto,
    /// longhaul reads the descriptor, and searches the output for a regular expression with the group `percent` or the
    /// groups `done` and `total`.
    Pattern(String),
}

impl ProgressDetection {
    /// Returns the detection with this name. Any other text is used as a regular expression.
    #[must_use]
    pub fn named(text: &str) -> Self {
        match text {
            "off" => Self::Off,
            "fd" => Self::Descriptor,
            "auto" => Self::Auto,
            pattern => Self::Pattern(pattern.to_owned()),
        }
    }

    /// Returns the name or the regular expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Off => "off",
            Self::Descriptor => "fd",
            Self::Auto => "auto",
            Self::Pattern(pattern) => pattern,
        }
    }

    /// Returns true if longhaul searches the output for progress.
    #[must_use]
    pub const fn reads_output(&self) -> bool {
        match self {
            Self::Off | Self::Descriptor => false,
            Self::Auto | Self::Pattern(_) => true,
        }
    }
}

/// The times after which silent work is reported as idle or stalled. A command is silent while it writes no output and
/// reports no progress; reported work is silent while its reporter sends nothing.
///
/// `None` uses the default of the deployment; zero means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SilencePolicy {
    /// Silence after which the work is idle, even if the command uses CPU time.
    pub idle_after: Option<Duration>,
    /// Silence without use of CPU time after which the work is stalled.
    pub stall_after: Option<Duration>,
}

impl SilencePolicy {
    /// Returns this policy with the unset values taken from `deployment`. A value of zero becomes `None`.
    #[must_use]
    pub fn or(self, deployment: Self) -> Self {
        let chosen =
            |own: Option<Duration>, other: Option<Duration>| own.or(other).filter(|span| !span.is_zero());
        Self {
            idle_after: chosen(self.idle_after, deployment.idle_after),
            stall_after: chosen(self.stall_after, deployment.stall_after),
        }
    }

    /// Returns true if neither value is set.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.idle_after.is_none() && self.stall_after.is_none()
    }
}
