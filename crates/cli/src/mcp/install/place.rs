//! Reads another program's configuration file, and replaces it atomically if it has not changed after it was read.

use crate::failure::CliError;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Permissions of a newly created file. They are strict because agents also store secrets in their configuration.
pub(super) const PRIVATE: u32 = 0o600;

/// Configuration file, with its content at the time when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigFile {
    /// Path of the file, with symbolic links resolved.
    pub(super) path: PathBuf,
    /// Content of the file; `None` if the file does not exist.
    pub(super) text: Option<String>,
}

/// Reason why the file at a path cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileProblem {
    #[error("the file is a symbolic link to {}, which does not exist", to.display())]
    Dangling { to: PathBuf },
    #[error("the path does not name a file")]
    NoFile,
}

impl ConfigFile {
    /// Reads a configuration file. A symbolic link is resolved first.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub(super) fn read(path: PathBuf) -> Result<Result<Self, FileProblem>, CliError> {
        let link = match fs::symlink_metadata(&path) {
            Ok(found) => found.is_symlink(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Ok(Self { path, text: None }));
            }
            Err(source) => return Err(CliError::file("read", &path, source)),
        };
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if link && error.kind() == io::ErrorKind::NotFound => {
                let to = fs::read_link(&path).unwrap_or_default();
                return Ok(Err(FileProblem::Dangling { to }));
            }
            Err(source) => return Err(CliError::file("read", &path, source)),
        };
        let unread = |source| CliError::file("read", &real, source);
        if !fs::metadata(&real).map_err(unread)?.is_file() {
            return Ok(Err(FileProblem::NoFile));
        }
        let text = fs::read_to_string(&real).map_err(unread)?;
        Ok(Ok(Self { path: real, text: Some(text) }))
    }

    /// Replaces the content of the file atomically. Owner and permissions are preserved.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or if it was changed after it was read.
    pub(super) fn replace(&self, text: &str) -> Result<(), CliError> {
        match self.try_replace(text) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CliError::Unfinished {
                what: format!("{} was changed by another program meanwhile", self.path.display()),
                why: None,
                help: "try again; if the agent itself writes this file, end the agent first".to_owned(),
            }),
            Err(source) => Err(CliError::file("write", &self.path, source)),
        }
    }

    /// Replaces the content of the file. Returns false if the file was changed after it was read.
    fn try_replace(&self, text: &str) -> io::Result<bool> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let found = self.found()?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = directory.join(format!(".{name}.longhaul-{}", std::process::id()));
        let replaced = (|| {
            fill(&fresh, text, found.as_ref())?;
            // This check is the last step before the replacement, so that the time in which another program could
            // change the file unnoticed is very short.
            if !self.is_as_it_was()? {
                return Ok(false);
            }
            match self.text {
                Some(_) => fs::rename(&fresh, &self.path)?,
                // Unlike `rename`, `hard_link` fails if another program has created the file in the meantime.
                None => match fs::hard_link(&fresh, &self.path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                    linked => linked?,
                },
            }
            File::open(directory)?.sync_all()?;
            Ok(true)
        })();
        // Removes the temporary file. Errors are ignored, because the file no longer exists after a successful rename.
        let _ = fs::remove_file(&fresh);
        replaced
    }

    /// Returns the existing file's metadata, whose owner and permissions the new file gets. Returns `None` if the file
    /// does not exist. Fails if the file is not writable, because a read-only file must not be replaced.
    fn found(&self) -> io::Result<Option<Metadata>> {
        match self.text {
            None => Ok(None),
            Some(_) => match OpenOptions::new().write(true).open(&self.path) {
                Ok(file) => file.metadata().map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    fn is_as_it_was(&self) -> io::Result<bool> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(self.text.as_ref() == Some(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.text.is_none()),
            Err(error) => Err(error),
        }
    }
}

/// Writes a new file with the owner and permissions of the file that it will replace.
fn fill(path: &Path, text: &str, like: Option<&Metadata>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    if let Some(like) = like {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &Path) -> ConfigFile {
        ConfigFile::read(path.to_owned()).unwrap().unwrap()
    }

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn file_that_another_program_changes_is_left_unchanged() {
        let top = tempfile::tempdir().unwrap();
        for (before, meanwhile) in [(None, Some("new")), (Some("old"), Some("new")), (Some("old"), None)] {
            let path = top.path().join("file");
            let _ = fs::remove_file(&path);
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            let place = place(&path);
            match meanwhile {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert!(matches!(place.replace("ours"), Err(CliError::Unfinished { .. })), "{before:?}");
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), meanwhile);
            assert_eq!(names(top.path()), usize::from(meanwhile.is_some()), "nothing is left over");
        }
    }

    #[test]
    fn link_stays_a_link_and_owner_and_permissions_stay() {
        let top = tempfile::tempdir().unwrap();
        let (real, link) = (top.path().join("real"), top.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o2640)).unwrap();
        // Only the superuser can change the owner of a file.
        let is_given = std::os::unix::fs::chown(&real, Some(65_534), Some(65_534)).is_ok();
        let _ = fs::set_permissions(&real, Permissions::from_mode(0o640));
        let before = fs::metadata(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        place(&link).replace("ours").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "ours");
        let after = fs::metadata(&real).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
        assert!(!is_given || after.uid() == 65_534);
        assert_eq!(names(top.path()), 2);
    }

    #[test]
    fn broken_link_and_non_file_are_never_replaced() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        std::os::unix::fs::symlink(top.path().join("gone"), &link).unwrap();
        let dangling = ConfigFile::read(link).unwrap();
        assert_eq!(dangling, Err(FileProblem::Dangling { to: top.path().join("gone") }));
        for (path, name) in [("/dev/null", "null"), (top.path().to_str().unwrap(), "directory")] {
            let link = top.path().join(name);
            std::os::unix::fs::symlink(path, &link).unwrap();
            assert_eq!(ConfigFile::read(link).unwrap(), Err(FileProblem::NoFile));
        }
        let round = top.path().join("round");
        std::os::unix::fs::symlink(&round, &round).unwrap();
        assert!(matches!(ConfigFile::read(round), Err(CliError::File { .. })));
    }

    #[test]
    fn new_file_is_private() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("deep/down/file");
        place(&path).replace("ours").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    }
}
