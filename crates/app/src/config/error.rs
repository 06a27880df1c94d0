//! What can be wrong with a configuration.

use crate::config::origin::ValueOrigin;
use std::io;
use std::path::PathBuf;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file is there but cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is no TOML.
    #[error("the configuration file {} is not valid TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// There is no such key.
    #[error("there is no configuration key {key:?}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: ValueOrigin,
        /// The key that is most like it.
        nearest: Option<String>,
    },
    /// A value does not fit its key.
    #[error("{text} is not a valid value of the configuration key {key}")]
    BadValue {
        /// The key.
        key: String,
        /// The value as it stands there.
        text: String,
        /// Where it stands.
        origin: Box<ValueOrigin>,
        /// What is wrong with it.
        why: String,
        /// What would be right.
        help: String,
    },
    /// A project's file must not say this.
    #[error("the configuration key {key} is not allowed in the project file {}", path.display())]
    NotForProjects {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl ConfigError {
    /// Why it is an error.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Unreadable { source, .. } => Some(source.to_string()),
            Self::Syntax { line, why, .. } => Some(format!("line {line}: {why}")),
            Self::UnknownKey { origin, .. } => Some(format!("it stands in {origin}")),
            Self::BadValue { origin, why, .. } => Some(format!("{why} ({origin})")),
            Self::NotForProjects { line, .. } => Some(format!(
                "line {line}: whoever wrote the project would decide over your files and programs"
            )),
        }
    }

    /// What to do about it.
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
                "set it in your own file (`longhaul config path`), in the environment, or by a flag"
                    .to_owned(),
            ),
        }
    }
}
