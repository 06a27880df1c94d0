//! What a launch asks to be told of while its command runs.

use std::time::Duration;

/// How it is found out that a command does what it was started for.
///
/// It is asked again and again until it is so, once per attempt; a command without one is never ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyWhen {
    /// A process of its own tree listens on this TCP port.
    Port(u16),
    /// This address answers an HTTP GET with a status from 200 to 399.
    Http {
        /// `http://…`.
        url: String,
    },
    /// This regular expression is found in a line of its output.
    Log {
        /// The expression.
        pattern: String,
    },
    /// This command ends with code 0, started in the directory and with the environment of the one it asks about.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// A regular expression to look for in the output; each line in which it is found is told as an event.
///
/// What was written while no manager ran, and before the next one began, is not searched. A pattern is told at most a
/// hundred times for an attempt, and a manager that begins anew counts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPattern {
    /// What the event calls it.
    pub name: String,
    /// The expression.
    pub pattern: String,
    /// Where to look.
    pub source: WatchSource,
}

/// Where a pattern is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchSource {
    /// In both streams.
    #[default]
    Both,
    /// In standard output alone.
    Stdout,
    /// In standard error alone.
    Stderr,
}

/// How long work may be silent before that is told. Silent is a command without output or report, and reported
/// work without report.
///
/// None takes what the deployment says; zero means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SilencePolicy {
    /// After so long it counts as idle, whatever its processor time.
    pub idle_after: Option<Duration>,
    /// After so long without using the processor either it counts as stalled.
    pub stall_after: Option<Duration>,
}

impl SilencePolicy {
    /// These, with what is not said taken from a deployment's; zeros are gone.
    #[must_use]
    pub fn or(self, deployment: Self) -> Self {
        let chosen =
            |own: Option<Duration>, other: Option<Duration>| own.or(other).filter(|span| !span.is_zero());
        Self {
            idle_after: chosen(self.idle_after, deployment.idle_after),
            stall_after: chosen(self.stall_after, deployment.stall_after),
        }
    }

    /// True if neither is asked for.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.idle_after.is_none() && self.stall_after.is_none()
    }
}
