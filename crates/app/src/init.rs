//! The command `longhaul init`, which gives a project a state directory.

use longhaul_client::{PROJECT_STATE, StateDir, StateDirError};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Content of the `.gitignore` file, which excludes the whole state directory from the repository.
const GITIGNORE: &str = "*\n";
const TEMPLATE: &str = "\
# Configuration of longhaul for this project; `longhaul config show` lists every key.
# The state directory, the store, the node and programs can be set only in your own file: `longhaul config path`.

# [limits]
# max_parallel = 10

# [keys.limit]
# \"opus*\" = 2

# [stop]
# grace = \"5s\"
";

/// Reason why no state directory was created for a project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum InitError {
    /// The project already has a state directory.
    #[error("the state directory {} already exists", path.display())]
    Exists {
        /// Path of the state directory.
        path: PathBuf,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error("the file {} could not be written", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Creates the directory `.longhaul` in a project and returns its path. With `force`, missing files are added to an
/// existing directory.
pub(crate) fn init(project: &Path, force: bool) -> Result<PathBuf, InitError> {
    let path = project.join(PROJECT_STATE);
    if !force && path.symlink_metadata().is_ok() {
        return Err(InitError::Exists { path });
    }
    StateDir::prepare(&path)?;
    for (name, text) in [(".gitignore", GITIGNORE), ("config.toml", TEMPLATE)] {
        let file = path.join(name);
        write_new(&file, text).map_err(|source| InitError::Write { path: file, source })?;
    }
    Ok(path)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigSources, Flags};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn project_gets_a_private_directory_that_git_ignores() {
        let top = tempfile::tempdir().unwrap();
        let path = init(top.path(), false).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn second_init_is_refused_and_force_keeps_existing_files() {
        let top = tempfile::tempdir().unwrap();
        let path = init(top.path(), false).unwrap();
        assert!(matches!(init(top.path(), false), Err(InitError::Exists { .. })));
        std::fs::write(path.join("config.toml"), "limits.max_parallel = 3\n").unwrap();
        std::fs::remove_file(path.join(".gitignore")).unwrap();
        init(top.path(), true).unwrap();
        assert!(path.join(".gitignore").exists());
        let kept = std::fs::read_to_string(path.join("config.toml")).unwrap();
        assert_eq!(kept, "limits.max_parallel = 3\n");
    }

    #[test]
    fn template_is_a_configuration() {
        let top = tempfile::tempdir().unwrap();
        let path = init(top.path(), false).unwrap();
        assert!(ConfigSources::of(&path, Flags::default()).read().is_ok());
        let all: String = TEMPLATE
            .lines()
            .filter_map(|line| line.strip_prefix("# ").filter(|line| line.contains(['=', '['])))
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(path.join("config.toml"), &all).unwrap();
        let read = ConfigSources::of(&path, Flags::default()).read();
        assert!(read.is_ok() && all.lines().count() == 6, "{read:?} of {all}");
    }
}
