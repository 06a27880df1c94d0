//! Origins of configuration values.

use std::fmt;
use std::path::PathBuf;

/// The source that set a configuration value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The built-in default of the key, because no source sets it.
    Default,
    /// A line in a configuration file.
    File {
        /// Path of the configuration file.
        path: PathBuf,
        /// Line number, starting at 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Name of the environment variable.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// Name of the command-line flag.
        name: &'static str,
    },
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}
