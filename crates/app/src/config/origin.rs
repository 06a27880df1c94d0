//! Origins of configuration values.

use std::fmt;
use std::path::PathBuf;

/// The source that set a configuration value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The default of the key.
    Default,
    /// A configuration file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Line number, starting at 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Name of the variable.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// Name of the flag.
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
