//! The state directory: everything that a manager keeps, private to its user.

mod private;

pub use private::PrivateError;
pub(crate) use private::PrivateFileStamp;

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket in a state directory.
pub(crate) const SOCKET: &str = "longhaul.sock";
/// The socket for agents.
pub(crate) const MCP_SOCKET: &str = "mcp.sock";
/// Where its manager can be asked over the network: a URL a line.
pub(crate) const LISTEN: &str = "listen";
/// The log of a manager that was started by a client.
pub(crate) const LOG: &str = "manager.log";

/// A state directory that was found fit for use.
///
/// Everything in it is reached through its descriptor, so that its path may have any length and nobody can put
/// another directory in its place meanwhile.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    descriptor: OwnedFd,
}

/// Why a state directory is not fit for use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// It is not there and cannot be made.
    #[error("the state directory {} cannot be created", path.display())]
    Make {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be opened.
    #[error("the state directory {} cannot be opened", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its path ends in a symbolic link.
    #[error("the state directory {} is a symbolic link", path.display())]
    SymbolicLink {
        /// Its path.
        path: PathBuf,
    },
    /// It is something else.
    #[error("the state directory {} is not a directory", path.display())]
    NoDirectory {
        /// Its path.
        path: PathBuf,
    },
    /// It belongs to another user.
    #[error("the state directory {} belongs to user {owner}", path.display())]
    ForeignOwner {
        /// Its path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        me: u32,
    },
    /// Others may write in it.
    #[error("other users can write to the state directory {}", path.display())]
    Writable {
        /// Its path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Nothing can be written in it.
    #[error("the state directory {} is not writable", path.display())]
    ReadOnly {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StateDir {
    /// Makes the directory if it is absent, with mode 0700, and checks it.
    ///
    /// # Errors
    /// [`StateDirError`] says why it is not fit for use; it was left as it is then.
    pub fn prepare(path: &Path) -> Result<Self, StateDirError> {
        let mut builder = std::fs::DirBuilder::new();
        match builder.recursive(true).mode(0o700).create(path) {
            Ok(()) => {}
            // Whatever is there instead is told by the check.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => {
                return Err(StateDirError::Make { path: path.to_owned(), source });
            }
        }
        let found = Self::find(path)?;
        found.check()?;
        Ok(found)
    }

    /// Opens a directory that is there, without a check: for one who only connects to the socket in it.
    ///
    /// # Errors
    /// [`StateDirError`] if there is none.
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

    /// Tells why it is not fit for use, if so.
    ///
    /// # Errors
    /// [`StateDirError`] says why.
    pub(crate) fn check(&self) -> Result<(), StateDirError> {
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

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of its socket, as people and children are told it.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Listens on its socket, mode 0600, in place of one that a manager left behind. Only for who holds the lock.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(&self) -> io::Result<UnixListener> {
        self.listen_at(SOCKET)
    }

    /// The same, on another socket in it.
    pub(crate) fn listen_at(&self, name: &str) -> io::Result<UnixListener> {
        self.remove_socket_at(name)?;
        let listener = UnixListener::bind(self.short(name))?;
        rustix::fs::chmodat(&self.descriptor, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        Ok(listener)
    }

    /// Takes its socket away. Only for who holds the lock.
    ///
    /// # Errors
    /// What the system says; also if something else than a socket is there.
    pub fn remove_socket(&self) -> io::Result<()> {
        self.remove_socket_at(SOCKET)
    }

    /// The same, of another socket in it.
    pub(crate) fn remove_socket_at(&self, name: &str) -> io::Result<()> {
        match rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
                Ok(rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
            }
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is no socket", self.path.join(name).display()),
            )),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Connects to its socket.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` if no manager answers.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.short(SOCKET))
    }

    /// A path of a few bytes to something in the directory: an address of a socket holds 107 at most.
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
    /// Why it is refused.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Make { source, .. } | Self::Open { source, .. } | Self::ReadOnly { source, .. } => {
                source.to_string()
            }
            Self::SymbolicLink { .. } => "whoever may change the link decides where your state is".to_owned(),
            Self::NoDirectory { .. } => "something else has that name".to_owned(),
            Self::ForeignOwner { me, .. } => {
                format!("you are user {me}; its owner could read and change everything")
            }
            Self::Writable { mode, .. } => {
                format!("its mode is {mode:04o}; they could put commands of theirs in place of yours")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Writable { path, .. } => format!("chmod go-w {}", path.display()),
            Self::SymbolicLink { path } => {
                let real = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from("DIR"));
                format!("name the directory itself: --state-dir {}", real.display())
            }
            Self::Make { .. }
            | Self::Open { .. }
            | Self::NoDirectory { .. }
            | Self::ForeignOwner { .. }
            | Self::ReadOnly { .. } => {
                "choose a directory of your own: --state-dir DIR, or LONGHAUL_STATE_DIR".to_owned()
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
    fn directory_that_others_may_write_is_refused_and_left_alone() {
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
            // Root may write anywhere but on a file system that cannot be written at all.
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
    fn file_in_the_place_of_the_socket_is_not_taken_away() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(top.path()).unwrap();
        fs::write(state.socket(), "precious").unwrap();
        assert!(state.listen().is_err());
        assert_eq!(fs::read_to_string(state.socket()).unwrap(), "precious");
    }
}
