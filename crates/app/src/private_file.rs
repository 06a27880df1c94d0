//! Small private files in the state directory, which only the user who owns them can read.

use longhaul_client::StateDir;
use longhaul_failpoint::failpoint;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// Maximum number of bytes that are read from a private file.
const MAX_FILE_LEN: u64 = 4_096;

/// Reason why a private file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// The path leads to a file that is not a regular file.
    #[error("{} is not a regular file", path.display())]
    NoFile {
        /// Path of the private file.
        path: PathBuf,
    },
    /// The private file belongs to another user.
    #[error("{} belongs to user {owner}", path.display())]
    ForeignOwner {
        /// Path of the private file.
        path: PathBuf,
        /// User id of the file's owner.
        owner: u32,
        /// User id of this program.
        me: u32,
    },
    /// Other users can access the private file.
    #[error("other users can access {}", path.display())]
    Open {
        /// Path of the private file.
        path: PathBuf,
        /// Permission bits of the file.
        mode: u32,
    },
    /// The private file does not contain a valid token.
    #[error("{} contains no valid token", path.display())]
    Useless {
        /// Path of the private file.
        path: PathBuf,
    },
    /// The private file cannot be read or written.
    #[error("{} cannot be {tried}", path.display())]
    Failed {
        /// Path of the private file.
        path: PathBuf,
        /// Failed action as a past participle for the error message, such as "read".
        tried: &'static str,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
}

/// Metadata of a file that differs after each change of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrivateFileStamp([u64; 5]);

/// Private files in a state directory.
pub(crate) trait PrivateFiles {
    /// Reads a private file. Returns `None` if the file does not exist.
    fn read_private(&self, name: &str) -> Result<Option<String>, PrivateError>;

    /// Writes a private file atomically. If `replace` is false, an existing file is left unchanged.
    fn write_private(&self, name: &str, text: &str, replace: bool) -> Result<(), PrivateError>;

    /// Removes a file if it exists.
    fn remove_private(&self, name: &str) -> io::Result<()>;

    /// Returns the metadata from which a caller can detect a change of the file. Returns `None` if the file does not
    /// exist.
    fn stamp(&self, name: &str) -> Option<PrivateFileStamp>;
}

impl PrivateFiles for StateDir {
    fn read_private(&self, name: &str) -> Result<Option<String>, PrivateError> {
        let path = || self.path().join(name);
        let failed = |source: io::Error| PrivateError::Failed { path: path(), tried: "read", source };
        // NONBLOCK is set because opening a named pipe would block without it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(self, name, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(PrivateError::NoFile { path: path() }),
            Err(errno) => return Err(failed(errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        let me = rustix::process::geteuid().as_raw();
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(PrivateError::NoFile { path: path() });
        }
        if stat.st_uid != me {
            return Err(PrivateError::ForeignOwner { path: path(), owner: stat.st_uid, me });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & 0o077 != 0 {
            return Err(PrivateError::Open { path: path(), mode });
        }
        let mut text = String::new();
        file.take(MAX_FILE_LEN).read_to_string(&mut text).map_err(failed)?;
        Ok(Some(text))
    }

    fn write_private(&self, name: &str, text: &str, replace: bool) -> Result<(), PrivateError> {
        let written = write(self, name, text, replace);
        written.map_err(|source| PrivateError::Failed {
            path: self.path().join(name),
            tried: "written",
            source,
        })
    }

    fn remove_private(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(self, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn stamp(&self, name: &str) -> Option<PrivateFileStamp> {
        let stat = rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let time = |seconds: i64, nanos: u64| seconds.cast_unsigned().wrapping_mul(1_000_000_000) + nanos;
        Some(PrivateFileStamp([
            stat.st_ino,
            stat.st_size.cast_unsigned(),
            u64::from(stat.st_mode) << 32 | u64::from(stat.st_uid),
            time(stat.st_mtime, stat.st_mtime_nsec),
            time(stat.st_ctime, stat.st_ctime_nsec),
        ]))
    }
}

fn write(state: &StateDir, name: &str, text: &str, replace: bool) -> io::Result<()> {
    let draft = format!(".{name}.{}", std::process::id());
    state.remove_private(&draft)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(state, &draft, flags, Mode::RUSR | Mode::WUSR)?);
    failpoint!("app.private.write")?;
    file.write_all(text.as_bytes())?;
    failpoint!("app.private.sync")?;
    file.sync_all()?;
    failpoint!("app.private.rename")?;
    if replace {
        rustix::fs::renameat(state, &draft, state, name)?;
    } else {
        let linked = rustix::fs::linkat(state, &draft, state, name, AtFlags::empty());
        state.remove_private(&draft)?;
        match linked {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    failpoint!("app.private.directory")?;
    Ok(rustix::fs::fsync(state)?)
}

impl PrivateError {
    /// Returns the reason for the error.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Self::NoFile { .. } => Some(
                "a token must be in a regular file; another user could control the content \
             of other files"
                    .to_owned(),
            ),
            Self::ForeignOwner { me, .. } => {
                Some(format!("you are user {me}; the owner of the file knows its content"))
            }
            Self::Open { mode, .. } => Some(format!(
                "the mode of the file is {mode:04o}; every user who can read the file can send requests to the \
                 manager"
            )),
            Self::Useless { .. } => Some("a token is 32 to 512 characters without spaces".to_owned()),
            Self::Failed { source, .. } => Some(source.to_string()),
        }
    }

    /// Returns advice for the user on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Open { path, .. } => Some(format!(
                "chmod 600 {}; if other users may have read the file, remove it: the next start creates a new one",
                path.display()
            )),
            Self::NoFile { path } | Self::ForeignOwner { path, .. } | Self::Useless { path } => {
                Some(format!("remove {}: the next start creates a new one", path.display()))
            }
            Self::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn private_file_is_written_completely_and_only_for_its_user() {
        let (top, state) = state();
        state.write_private("token", "one\n", false).unwrap();
        assert_eq!(fs::metadata(top.path().join("token")).unwrap().mode() & 0o7777, 0o600);
        let stamp = state.stamp("token");
        state.write_private("token", "two\n", false).unwrap();
        assert_eq!(state.read_private("token").unwrap().as_deref(), Some("one\n"), "the first write is kept");
        state.write_private("token", "three\n", true).unwrap();
        assert_eq!(state.read_private("token").unwrap().as_deref(), Some("three\n"));
        assert_ne!(state.stamp("token"), stamp);
        let names: Vec<_> =
            fs::read_dir(top.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["token"], "no draft is left");
        assert_eq!(state.read_private("absent").unwrap(), None);
    }

    #[test]
    fn file_that_others_may_reach_is_refused() {
        let (top, state) = state();
        state.write_private("token", "secret\n", false).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o777] {
            fs::set_permissions(top.path().join("token"), Permissions::from_mode(mode)).unwrap();
            let error = state.read_private("token").unwrap_err();
            assert!(matches!(error, PrivateError::Open { .. }), "{mode:o}: {error:?}");
            assert!(error.help().unwrap().contains("chmod 600"));
        }
        fs::set_permissions(top.path().join("token"), Permissions::from_mode(0o400)).unwrap();
        assert!(state.read_private("token").unwrap().is_some());
    }

    #[test]
    fn path_that_is_not_a_regular_file_of_the_user_is_refused() {
        let (top, state) = state();
        fs::write(top.path().join("real"), "x").unwrap();
        symlink("real", top.path().join("link")).unwrap();
        fs::create_dir(top.path().join("directory")).unwrap();
        let fifo = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(&state, "pipe", FileType::Fifo, fifo, 0).unwrap();
        for name in ["link", "directory", "pipe"] {
            let error = state.read_private(name).unwrap_err();
            assert!(matches!(error, PrivateError::NoFile { .. }), "{name}: {error:?}");
        }
        if rustix::process::geteuid().is_root() {
            state.write_private("foreign", "x", false).unwrap();
            std::os::unix::fs::chown(top.path().join("foreign"), Some(4_242), None).unwrap();
            let error = state.read_private("foreign").unwrap_err();
            assert!(matches!(error, PrivateError::ForeignOwner { owner: 4_242, .. }), "{error:?}");
        }
    }

    fn state() -> (tempfile::TempDir, StateDir) {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(top.path()).unwrap();
        (top, state)
    }
}
