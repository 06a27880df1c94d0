//! `longhaul init`: state of its own for a project.

use crate::config::PROJECT_STATE;
use crate::state_dir::{StateDir, StateDirError};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Nothing in it belongs into a repository.
const GITIGNORE: &str = "*\n";
const TEMPLATE: &str = "\
# Configuration of longhaul for this project; `longhaul config show` lists every key.
# State, store, node and programs are not set here but in your own file: `longhaul config path`.

# [limits]
# max_parallel = 10

# [keys.limit]
# \"opus*\" = 2

# [stop]
# grace = \"5s\"
";

/// Why a project got no state of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum InitError {
    /// It has it already.
    #[error("{} already exists", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is not fit for use.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A file could not be written.
    #[error("{} could not be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes `.longhaul` in a project and gives its path. With `force` a directory that is there gets what it lacks.
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
    fn second_init_is_refused_and_force_keeps_what_is_there() {
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
