//! Location of the manager, and the function that starts a manager there.

use crate::autostart::autostart;
use crate::state_dir::SOCKET;
use crate::user_file::configured_store;
use longhaul_wire::api::Problem;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Function that starts a manager. It returns as soon as the manager answers at its socket.
pub type Autostart = Box<dyn Fn() -> Result<(), StartError>>;

/// Location of the manager that this program talks to.
pub struct ManagerLocator {
    /// Path of the manager's Unix socket.
    pub socket: PathBuf,
    /// State directory of the manager.
    pub state_dir: PathBuf,
    /// Function that starts a manager if none answers. `None` if this program may not start a manager.
    pub autostart: Option<Autostart>,
    /// Store that the environment or the user's configuration file sets, in the form in which a manager reports its
    /// store. `None` if no store is configured.
    pub store: Option<String>,
}

impl ManagerLocator {
    /// Returns the location of the manager of a state directory. If no manager answers at this location, a client
    /// starts the program `manager`. If `manager` is `None`, the client starts no manager.
    #[must_use]
    pub fn of(state_dir: PathBuf, manager: Option<PathBuf>) -> Self {
        let served = state_dir.clone();
        Self {
            socket: state_dir.join(SOCKET),
            store: configured_store(&state_dir, |name| std::env::var_os(name)),
            autostart: manager.map(|program| -> Autostart { Box::new(move || autostart(&program, &served)) }),
            state_dir,
        }
    }

    /// Returns a copy of this location that never starts a manager.
    #[must_use]
    pub fn without_autostart(&self) -> Self {
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
        f.debug_struct("ManagerLocator")
            .field("socket", &self.socket)
            .field("state_dir", &self.state_dir)
            .field("autostart", &self.autostart.is_some())
            .field("store", &self.store)
            .finish()
    }
}

/// Reason why no manager could be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The manager's program could not be executed.
    #[error("the manager program {} could not be executed: {source}", program.display())]
    Spawn {
        /// Path of the program.
        program: PathBuf,
        /// Error from the operating system.
        source: io::Error,
    },
    /// The manager ended before its socket answered.
    #[error("the manager ended before it answered ({ending})")]
    Ended {
        /// Description of how the manager exited.
        ending: String,
        /// Last lines of the manager's log.
        last_lines: Vec<String>,
    },
    /// The manager did not answer in time.
    #[error("the manager did not answer within {} ms", waited.as_millis())]
    Silent {
        /// Time that the caller waited for an answer.
        waited: Duration,
        /// Last lines of the manager's log.
        last_lines: Vec<String>,
    },
    /// The manager started, but reported that it cannot serve clients.
    #[error("{}", problem.title)]
    Refused {
        /// Problem that the manager reported.
        problem: Box<Problem>,
    },
}

impl StartError {
    /// Returns the last lines of the manager's log. Returns an empty text if they are unknown.
    #[must_use]
    pub fn last_lines(&self) -> &[String] {
        match self {
            Self::Ended { last_lines, .. } | Self::Silent { last_lines, .. } => last_lines,
            Self::Spawn { .. } | Self::Refused { .. } => &[],
        }
    }
}
