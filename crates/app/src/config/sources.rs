//! Sources of configuration values.

use crate::config::error::ConfigError;
use crate::config::file;
use crate::config::key::STATE;
use crate::config::kind::RawConfigValue;
use crate::config::layers::Layers;
use crate::config::origin::ValueOrigin;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// All sources of configuration values, from lowest to highest precedence.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    /// Configuration file of the user.
    pub user_file: Option<PathBuf>,
    /// Configuration files of the project, from lowest to highest precedence.
    pub project_files: Vec<PathBuf>,
    /// Environment variables and their values, by name.
    pub environment: BTreeMap<String, String>,
    /// Values of command-line flags.
    pub flags: Flags,
}

/// Configuration values from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Value of `--store`.
    pub store: Option<String>,
    /// Value of `--node-id`.
    pub node_id: Option<String>,
    /// Value of `--max-parallel`.
    pub max_parallel: Option<u32>,
    /// True if `--stop-processes` is set.
    pub stop_processes: bool,
    /// Value of `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// Values of `--listen`.
    pub listen: Vec<String>,
    /// True if `--allow-remote` is set.
    pub allow_remote: bool,
    /// True if `--insecure-behind-proxy` is set.
    pub insecure_behind_proxy: bool,
    /// Value of `--tls-cert`.
    pub tls_cert: Option<PathBuf>,
    /// Value of `--tls-key`.
    pub tls_key: Option<PathBuf>,
}

impl ConfigSources {
    /// Returns the configuration sources for a manager with this state directory. A state directory with the name
    /// `.longhaul` belongs to the project in its parent directory.
    #[must_use]
    pub fn of(state_dir: &Path, flags: Flags) -> Self {
        let mut project_files = Vec::new();
        if state_dir.file_name().is_some_and(|name| name == PROJECT_STATE) {
            project_files.extend(state_dir.parent().map(|project| project.join(PROJECT_FILE)));
            project_files.push(state_dir.join("config.toml"));
        }
        Self {
            user_file: user_file(|name| std::env::var_os(name)),
            project_files,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| name.starts_with("LONGHAUL_"))
                .collect(),
            flags,
        }
    }

    /// Reads and merges all configuration sources.
    ///
    /// # Errors
    /// [`ConfigError`] for the first invalid entry.
    pub fn read(&self) -> Result<Layers, ConfigError> {
        Layers::read(self)
    }
}

/// File name of a project's configuration file.
pub(crate) const PROJECT_FILE: &str = "longhaul.toml";
/// Name of a state directory that belongs to a project.
pub(crate) const PROJECT_STATE: &str = ".longhaul";

/// Returns the path of the user's configuration file, whether or not the file exists. Returns `None` if neither
/// `XDG_CONFIG_HOME` nor `HOME` is an absolute path.
pub fn user_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("longhaul").join("config.toml"))
}

/// Returns the state directory that the user's configuration file names. The other values of the file are not checked.
/// Returns `None` if the file names no state directory.
pub(crate) fn state_of_user_file(path: &Path, home: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
    let entries = file::entries(path)?.unwrap_or_default();
    let Some(entry) = entries.into_iter().find(|entry| entry.key == STATE) else {
        return Ok(None);
    };
    let bad = |why: &str| ConfigError::BadValue {
        key: STATE.to_owned(),
        text: entry.raw.to_string(),
        origin: Box::new(ValueOrigin::File { path: path.to_owned(), line: entry.line }),
        why: why.to_owned(),
        help: "give an absolute path in quotes; the path may start with ~/".to_owned(),
    };
    let RawConfigValue::Text(text) = &entry.raw else {
        return Err(bad("the value is not a string"));
    };
    let found = match (text.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => home.join(below),
        (Some(_), None) => return Err(bad("HOME is not set")),
        (None, _) => PathBuf::from(text),
    };
    if found.is_absolute() { Ok(Some(found)) } else { Err(bad("the value is not an absolute path")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_the_users_file_is_absolute_or_below_home() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("config.toml");
        let state = |text: &str| {
            std::fs::write(&path, text).unwrap();
            state_of_user_file(&path, Some(Path::new("/home/me")))
        };
        assert_eq!(state("state = \"/a/b\"").unwrap(), Some("/a/b".into()));
        assert_eq!(state("state = \"~/b\"").unwrap(), Some("/home/me/b".into()));
        assert_eq!(state("stop.grace = 5").unwrap(), None);
        assert!(state("state = \"b\"").is_err());
        assert!(state("state = 7").is_err());
        assert!(state("state = = ").is_err());
    }

    #[test]
    fn only_a_directory_called_longhaul_belongs_to_a_project() {
        let files = |path: &str| ConfigSources::of(Path::new(path), Flags::default()).project_files;
        assert_eq!(
            files("/p/.longhaul"),
            [Path::new("/p/longhaul.toml"), Path::new("/p/.longhaul/config.toml")]
        );
        assert!(files("/home/me/.local/state/longhaul").is_empty());
    }
}
