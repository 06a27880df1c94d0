//! The state directory, which contains all files of a manager and is accessible only to the manager's user.

use longhaul_wire::api::Problem;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// File name of the main socket, inside the state directory.
pub const SOCKET: &str = "longhaul.sock";
/// File name of the socket for agents, inside the state directory.
pub const MCP_SOCKET: &str = "mcp.sock";
/// File name of the list of the manager's network addresses, with one URL per line.
pub const LISTEN: &str = "listen";
/// File name of the log that a manager writes if a client started the manager.
pub const LOG: &str = "manager.log";

/// An open state directory.
///
/// The manager accesses the files of the state directory through the open descriptor of the directory. The path may
/// therefore have any length. If another directory replaces the state directory at its path, the manager does not
/// access the other directory by mistake.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    descriptor: OwnedFd,
}

/// Reason why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// The state directory does not exist and cannot be created.
    #[error("the state directory {} cannot be created", path.display())]
    Make {
        /// Path of the state directory.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// The state directory cannot be opened.
    #[error("the state directory {} cannot be opened", path.display())]
    Open {
        /// Path of the state directory.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// The path of the state directory is a symbolic link.
    #[error("the state directory {} is a symbolic link", path.display())]
    SymbolicLink {
        /// Path of the symbolic link.
        path: PathBuf,
    },
    /// The path of the state directory leads to a file that is not a directory.
    #[error("the state directory {} is not a directory", path.display())]
    NoDirectory {
        /// Path that was expected to be the state directory.
        path: PathBuf,
    },
    /// The state directory belongs to another user.
    #[error("the state directory {} belongs to user {owner}", path.display())]
    ForeignOwner {
        /// Path of the state directory.
        path: PathBuf,
        /// User id of the directory's owner.
        owner: u32,
        /// User id of this program.
        me: u32,
    },
    /// Other users can write to the state directory.
    #[error("other users can write to the state directory {}", path.display())]
    Writable {
        /// Path of the state directory.
        path: PathBuf,
        /// Permission bits of the directory.
        mode: u32,
    },
    /// This program cannot write to the state directory.
    #[error("the state directory {} is not writable", path.display())]
    ReadOnly {
        /// Path of the state directory.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
}

impl StateDir {
    /// Opens and checks a state directory. Creates the directory with mode 0700 if it does not exist.
    ///
    /// # Errors
    /// [`StateDirError`] if the directory cannot be used. An existing directory is left unchanged.
    pub fn prepare(path: &Path) -> Result<Self, StateDirError> {
        let mut builder = std::fs::DirBuilder::new();
        match builder.recursive(true).mode(0o700).create(path) {
            Ok(()) => {}
            // If the path is not a directory, the check below reports this.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => {
                return Err(StateDirError::Make { path: path.to_owned(), source });
            }
        }
        let found = Self::find(path)?;
        found.check()?;
        Ok(found)
    }

    /// Opens an existing directory without checking its owner and mode. This is sufficient for connecting to a socket
    /// in the directory.
    ///
    /// # Errors
    /// [`StateDirError`] if the directory does not exist or cannot be opened.
    pub fn find(path: &Path) -> Result<Self, StateDirError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |errno: Errno| match errno {
            Errno::LOOP | Errno::NOTDIR if path.is_symlink() => {
                StateDirError::SymbolicLink { path: path.to_owned() }
            }
            Errno::NOTDIR => StateDirError::NoDirectory { path: path.to_owned() },
            other => StateDirError::Open { path: path.to_owned(), source: other.into() },
        };
        let descriptor = rustix::fs::open(path, flags | OFlags::RDONLY, Mode::empty()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), descriptor })
    }

    /// Checks owner, mode and write access of the directory.
    ///
    /// # Errors
    /// [`StateDirError`] if the directory cannot be used.
    pub fn check(&self) -> Result<(), StateDirError> {
        let path = || self.path.clone();
        let stat = rustix::fs::fstat(&self.descriptor)
            .map_err(|errno| StateDirError::Open { path: path(), source: errno.into() })?;
        let me = rustix::process::geteuid().as_raw();
        if stat.st_uid != me {
            return Err(StateDirError::ForeignOwner { path: path(), owner: stat.st_uid, me });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & 0o022 != 0 {
            return Err(StateDirError::Writable { path: path(), mode });
        }
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.descriptor, ".", access, AtFlags::EACCESS)
            .map_err(|errno| StateDirError::ReadOnly { path: path(), source: errno.into() })
    }

    /// Returns the path of the state directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the main socket, for display and for use by commands.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Listens on the main socket with mode 0600. Replaces a socket that an earlier manager left behind. The caller
    /// must hold the lock on the state directory.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn listen(&self) -> io::Result<UnixListener> {
        self.listen_at(SOCKET)
    }

    /// Like [`listen`](Self::listen), but for the socket with the given file name.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn listen_at(&self, name: &str) -> io::Result<UnixListener> {
        self.remove_socket_at(name)?;
        let listener = UnixListener::bind(self.short(name))?;
        rustix::fs::chmodat(&self.descriptor, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        Ok(listener)
    }

    /// Removes the main socket. The caller must hold the lock on the state directory.
    ///
    /// # Errors
    /// The error of the operating system, or an error if the path is not a socket.
    pub fn remove_socket(&self) -> io::Result<()> {
        self.remove_socket_at(SOCKET)
    }

    /// Like [`remove_socket`](Self::remove_socket), but for the socket with the given file name.
    ///
    /// # Errors
    /// The error of the operating system, or an error if the path is not a socket.
    pub fn remove_socket_at(&self, name: &str) -> io::Result<()> {
        match rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
                Ok(rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
            }
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is not a socket", self.path.join(name).display()),
            )),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Connects to the main socket.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` if no manager is listening.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.short(SOCKET))
    }

    /// Returns the number of bytes on the disk that this user may still write.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(self)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Returns a short path to a file in the state directory. A long path would not fit into a socket address, which
    /// can hold at most 107 bytes.
    fn short(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.descriptor.as_raw_fd()).into()
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl StateDirError {
    /// Returns the error in the form that all interfaces show.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            slug: "state_dir_unusable".to_owned(),
            title: self.to_string(),
            detail: Some(self.why()),
            help: Some(self.help()),
            ..Problem::default()
        }
    }

    /// Returns the reason for the error.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Make { source, .. } | Self::Open { source, .. } | Self::ReadOnly { source, .. } => {
                source.to_string()
            }
            Self::SymbolicLink { .. } => {
                "another user who can change the link could replace the state directory".to_owned()
            }
            Self::NoDirectory { .. } => "another kind of file has this name".to_owned(),
            Self::ForeignOwner { me, .. } => {
                format!(
                    "you are user {me}; the owner of the directory could read and change everything in it"
                )
            }
            Self::Writable { mode, .. } => {
                format!(
                    "the mode of the directory is {mode:04o}; other users could replace your commands with \
                         their own"
                )
            }
        }
    }

    /// Returns advice for the user on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Writable { path, .. } => format!("chmod go-w {}", path.display()),
            Self::SymbolicLink { path } => {
                let real = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from("DIR"));
                format!("give the path of the directory itself: --state-dir {}", real.display())
            }
            Self::Make { .. }
            | Self::Open { .. }
            | Self::NoDirectory { .. }
            | Self::ForeignOwner { .. }
            | Self::ReadOnly { .. } => {
                "use a directory that you own: --state-dir DIR, or LONGHAUL_STATE_DIR".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn absent_directory_is_made_private() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b");
        StateDir::prepare(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        StateDir::prepare(&path).unwrap();
    }

    #[test]
    fn directory_that_others_may_write_is_refused_and_unchanged() {
        let top = tempfile::tempdir().unwrap();
        for mode in [0o720, 0o702, 0o777] {
            fs::set_permissions(top.path(), Permissions::from_mode(mode)).unwrap();
            let refused = StateDir::prepare(top.path());
            assert!(matches!(refused, Err(StateDirError::Writable { .. })), "{refused:?}");
            assert_eq!(fs::metadata(top.path()).unwrap().mode() & 0o777, mode);
        }
    }

    #[test]
    fn symbolic_link_and_file_are_refused() {
        let top = tempfile::tempdir().unwrap();
        let (real, link, file) = (top.path().join("real"), top.path().join("link"), top.path().join("file"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        fs::write(&file, "").unwrap();
        let refused = StateDir::prepare(&link).unwrap_err();
        assert!(matches!(refused, StateDirError::SymbolicLink { .. }), "{refused:?}");
        assert!(refused.help().contains("real"));
        let refused = StateDir::prepare(&file).unwrap_err();
        assert!(matches!(refused, StateDirError::NoDirectory { .. }), "{refused:?}");
    }

    #[test]
    fn directory_of_another_user_is_refused() {
        let me = rustix::process::geteuid().as_raw();
        let foreign = if me == 0 { None } else { Some(Path::new("/")) };
        let top = tempfile::tempdir().unwrap();
        let path = match foreign {
            Some(path) => path.to_owned(),
            None => {
                std::os::unix::fs::chown(top.path(), Some(4_242), None).unwrap();
                top.path().to_owned()
            }
        };
        let refused = StateDir::prepare(&path);
        assert!(matches!(refused, Err(StateDirError::ForeignOwner { .. })), "{refused:?}");
    }

    #[test]
    fn directory_without_write_permission_is_refused() {
        let top = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            // The root user can write everywhere except on a read-only file system.
            let refused = StateDir::prepare(Path::new("/proc/sys"));
            assert!(refused.is_err() || !Path::new("/proc/sys").exists());
            return;
        }
        fs::set_permissions(top.path(), Permissions::from_mode(0o500)).unwrap();
        let refused = StateDir::prepare(top.path());
        assert!(matches!(refused, Err(StateDirError::ReadOnly { .. })), "{refused:?}");
    }

    #[test]
    fn socket_works_at_a_path_of_any_length() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("d".repeat(200)).join("e".repeat(200));
        let state = StateDir::prepare(&path).unwrap();
        let listener = state.listen().unwrap();
        assert_eq!(fs::metadata(state.socket()).unwrap().mode() & 0o777, 0o600);
        StateDir::find(&path).unwrap().connect().unwrap();
        drop(listener);
        assert_eq!(state.connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        state.listen().unwrap();
        state.connect().unwrap_err();
    }

    #[test]
    fn file_at_the_path_of_the_socket_is_not_removed() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(top.path()).unwrap();
        fs::write(state.socket(), "precious").unwrap();
        assert!(state.listen().is_err());
        assert_eq!(fs::read_to_string(state.socket()).unwrap(), "precious");
    }
}
