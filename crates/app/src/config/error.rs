//! Errors of the configuration.

use crate::config::origin::ValueOrigin;
use std::io;
use std::path::PathBuf;

/// An error of the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A configuration file exists but cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// Path of the configuration file.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// A configuration file is not valid TOML.
    #[error("the configuration file {} is not valid TOML", path.display())]
    Syntax {
        /// Path of the configuration file.
        path: PathBuf,
        /// Line number, starting at 1.
        line: usize,
        /// Error message of the TOML parser.
        why: String,
    },
    /// A configuration key does not exist.
    #[error("there is no configuration key {key:?}")]
    UnknownKey {
        /// Name of the configuration key.
        key: String,
        /// Source that contains the unknown key.
        origin: ValueOrigin,
        /// Most similar key that exists. `None` if no key is similar.
        nearest: Option<String>,
    },
    /// A value is not valid for its key.
    #[error("{text} is not a valid value of the configuration key {key}")]
    BadValue {
        /// Name of the configuration key.
        key: String,
        /// Text of the invalid value, as written in its source.
        text: String,
        /// Source that contains the invalid value.
        origin: Box<ValueOrigin>,
        /// Reason why the value is not valid.
        why: String,
        /// Advice for the user, with an example of a valid value.
        help: String,
    },
    /// A project file contains a key that only the user may set.
    #[error("the configuration key {key} is not allowed in the project file {}", path.display())]
    NotForProjects {
        /// Name of the configuration key.
        key: String,
        /// Path of the project file.
        path: PathBuf,
        /// Line number, starting at 1.
        line: usize,
    },
}

impl ConfigError {
    /// Returns the reason for the error.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Unreadable { source, .. } => Some(source.to_string()),
            Self::Syntax { line, why, .. } => Some(format!("line {line}: {why}")),
            Self::UnknownKey { origin, .. } => Some(format!("the key is set in {origin}")),
            Self::BadValue { origin, why, .. } => Some(format!("{why} ({origin})")),
            Self::NotForProjects { line, .. } => Some(format!(
                "line {line}: with this key, the author of the project could control your files and programs"
            )),
        }
    }

    /// Returns advice for the user on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } | Self::Syntax { .. } => None,
            Self::UnknownKey { nearest: Some(nearest), .. } => Some(format!("did you mean {nearest}?")),
            Self::UnknownKey { nearest: None, .. } => {
                Some("`longhaul config show` lists every key".to_owned())
            }
            Self::BadValue { help, .. } => Some(help.clone()),
            Self::NotForProjects { .. } => Some(
                "set the key in your own configuration file (`longhaul config path`), in the environment, or with a \
                 flag"
                    .to_owned(),
            ),
        }
    }
}
