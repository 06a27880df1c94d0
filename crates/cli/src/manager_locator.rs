//! Where the manager is, and how one is started.

use longhaul_wire::api::Problem;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Starts a manager and returns when its socket answers.
pub type Autostart = Box<dyn Fn() -> Result<(), StartError>>;

/// Says where the manager answers.
pub struct ManagerLocator {
    /// Its socket.
    pub socket: PathBuf,
    /// Its state directory.
    pub state_dir: PathBuf,
    /// How to start one when none answers; none if that is not wanted.
    pub autostart: Option<Autostart>,
    /// The store that is named here for its manager, as that tells its own; none if nobody names one.
    pub store: Option<String>,
}

impl ManagerLocator {
    /// The same place, where no manager is started.
    pub(crate) fn without_autostart(&self) -> Self {
        Self {
            socket: self.socket.clone(),
            state_dir: self.state_dir.clone(),
            autostart: None,
            store: self.store.clone(),
        }
    }
}

impl fmt::Debug for ManagerLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("socket", &self.socket)
            .field("state_dir", &self.state_dir)
            .field("autostart", &self.autostart.is_some())
            .field("store", &self.store)
            .finish()
    }
}

/// Why no manager could be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program could not be executed.
    #[error("the manager could not be executed as {}: {source}", program.display())]
    Spawn {
        /// The program that was tried.
        program: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("the manager ended before it answered ({ending})")]
    Ended {
        /// How it ended.
        ending: String,
        /// The last lines of its log.
        last_lines: Vec<String>,
    },
    /// It did not answer in time.
    #[error("the manager did not answer within {} ms", waited.as_millis())]
    Silent {
        /// How long the caller waited.
        waited: Duration,
        /// The last lines of its log.
        last_lines: Vec<String>,
    },
    /// It said itself why it cannot serve.
    #[error("{}", problem.title)]
    Refused {
        /// What it said.
        problem: Box<Problem>,
    },
}

impl StartError {
    /// Gives the last lines of the manager's log, where they are known.
    #[must_use]
    pub fn last_lines(&self) -> &[String] {
        match self {
            Self::Ended { last_lines, .. } | Self::Silent { last_lines, .. } => last_lines,
            Self::Spawn { .. } | Self::Refused { .. } => &[],
        }
    }
}
