//! A file of somebody else: looked at, and replaced as a whole if it is still what it was.

use crate::failure::CliError;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The permissions of a file that is made: what agents keep beside it may be secret.
pub(super) const PRIVATE: u32 = 0o600;

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigFile {
    /// The file itself, never a link to it.
    pub(super) path: PathBuf,
    /// What is in it; none if it is not there.
    pub(super) text: Option<String>,
}

/// What is not replaced, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FileProblem {
    #[error("it is a link to {}, which does not exist", to.display())]
    Dangling { to: PathBuf },
    #[error("it is not a file")]
    NoFile,
}

impl ConfigFile {
    /// Looks at a file. Where it is a link, what it leads to is meant.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn look(path: PathBuf) -> Result<Result<Self, FileProblem>, CliError> {
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

    /// Replaces it: all of it or nothing. Its owner and its permissions stay.
    ///
    /// # Errors
    /// It cannot be written, or changed meanwhile.
    pub(super) fn replace(&self, text: &str) -> Result<(), CliError> {
        match self.try_replace(text) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CliError::Unfinished {
                what: format!("{} changed meanwhile", self.path.display()),
                why: None,
                help: "do it again, and end the agent first if it writes that file itself".to_owned(),
            }),
            Err(source) => Err(CliError::file("write", &self.path, source)),
        }
    }

    /// Replaces it; false if it is not what it was.
    fn try_replace(&self, text: &str) -> io::Result<bool> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let found = self.found()?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = directory.join(format!(".{name}.longhaul-{}", std::process::id()));
        let replaced = (|| {
            fill(&fresh, text, found.as_ref())?;
            // Looked at last, so that hardly anything can happen in between.
            if !self.is_as_it_was()? {
                return Ok(false);
            }
            match self.text {
                Some(_) => fs::rename(&fresh, &self.path)?,
                // Unlike a rename, a link never takes the place of what came meanwhile.
                None => match fs::hard_link(&fresh, &self.path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                    linked => linked?,
                },
            }
            File::open(directory)?.sync_all()?;
            Ok(true)
        })();
        // What is left of it helps nobody.
        let _ = fs::remove_file(&fresh);
        replaced
    }

    /// What is to be kept of it. A file that may not be written is not replaced either.
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

/// Writes a new file that looks like the one whose place it takes.
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
        ConfigFile::look(path.to_owned()).unwrap().unwrap()
    }

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn file_that_changes_meanwhile_is_left_alone() {
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
        // Only the superuser can give a file away.
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
    fn link_to_nothing_and_what_is_no_file_are_never_replaced() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        std::os::unix::fs::symlink(top.path().join("gone"), &link).unwrap();
        let dangling = ConfigFile::look(link).unwrap();
        assert_eq!(dangling, Err(FileProblem::Dangling { to: top.path().join("gone") }));
        for (path, name) in [("/dev/null", "null"), (top.path().to_str().unwrap(), "directory")] {
            let link = top.path().join(name);
            std::os::unix::fs::symlink(path, &link).unwrap();
            assert_eq!(ConfigFile::look(link).unwrap(), Err(FileProblem::NoFile));
        }
        let round = top.path().join("round");
        std::os::unix::fs::symlink(&round, &round).unwrap();
        assert!(matches!(ConfigFile::look(round), Err(CliError::File { .. })));
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
