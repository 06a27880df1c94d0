//! Sources of configuration values.

use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use longhaul_client::{PROJECT_FILE, PROJECT_STATE, user_file};
use std::collections::BTreeMap;
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

#[cfg(test)]
mod tests {
    use super::*;

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
