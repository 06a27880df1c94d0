//! The directory of one attempt, always reached through an open descriptor of it.

use std::{
    fmt, fs, io,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use longhaul_failpoint::failpoint;
use rustix::{
    fs::{AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{
    exit::ExitRecord,
    identity::Identity,
    record::{MAX_RECORD_LEN, RecordError},
};

/// The name of the socket that the shim listens on.
pub const SOCKET: &str = "ctl";
/// The name of the file that says who runs.
pub const IDENTITY: &str = "identity";
/// The name of the file that says how it ended.
pub const EXIT: &str = "exit";
/// The name of the pipe that the work reads as its input.
pub const INPUT: &str = "stdin";

/// Bytes that are enough for any record of an end; a block of most disks.
const RESERVED_BYTES: u64 = 4_096;
const MAX_LOCK_ATTEMPTS: u32 = 25;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(2);
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(5);

/// An open attempt directory.
#[derive(Debug)]
pub struct AttemptDirectory {
    fd: OwnedFd,
}

impl AttemptDirectory {
    /// Opens an existing directory; its last component must not be a symbolic link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Self { fd: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Reads who runs the attempt; `None` if its gate never opened.
    pub fn identity(&self) -> Result<Option<Identity>, AttemptFileError> {
        let bytes = self.read(IDENTITY)?;
        bytes.map(|bytes| Identity::decode(&bytes)).transpose().map_err(AttemptFileError::in_file(IDENTITY))
    }

    /// Reads how the attempt ended; `None` if no end was recorded.
    pub fn exit_record(&self) -> Result<Option<ExitRecord>, AttemptFileError> {
        let bytes = self.read(EXIT)?;
        bytes.map(|bytes| ExitRecord::decode(&bytes)).transpose().map_err(AttemptFileError::in_file(EXIT))
    }

    /// Tells whether a shim holds the lock and so lives.
    pub fn is_locked(&self) -> io::Result<bool> {
        match rustix::fs::flock(self.reopened()?, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lock for as long as the returned descriptor is open; `None` if another holds it.
    ///
    /// The lock is that of the directory itself: a file for it would cost an inode per attempt and could be removed.
    pub fn lock(&self) -> io::Result<Option<OwnedFd>> {
        let directory = self.reopened()?;
        for _ in 0..MAX_LOCK_ATTEMPTS {
            match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(directory)),
                // Somebody who only asks whether it is locked holds it for a moment.
                Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_RETRY_DELAY),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// A lock belongs to an opening, so that each holder needs one of its own.
    fn reopened(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, ".", flags, Mode::empty())?)
    }

    /// Connects to the shim; how long the path of the directory is does not matter.
    ///
    /// A young shim may be alive and have no socket yet.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.through_proc(SOCKET))
    }

    /// Connects to the shim; while it lives and has no socket yet, waits for that, but not longer than `patience`.
    pub fn connect_within(&self, patience: Duration) -> io::Result<UnixStream> {
        let begin = Instant::now();
        loop {
            match self.connect() {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                        && begin.elapsed() < patience
                        && self.is_locked()? =>
                {
                    std::thread::sleep(CONNECT_RETRY_DELAY);
                }
                done => return done,
            }
        }
    }

    /// Opens the input of the work for writing, without ever waiting there; `None` if it is no pipe, was closed, or nobody
    /// reads from it any more.
    ///
    /// As long as the returned descriptor is open, the input does not end, not even when the shim does.
    pub fn input(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, INPUT, flags, Mode::empty()) {
            Ok(pipe) => {
                let kind = FileType::from_raw_mode(rustix::fs::fstat(&pipe)?.st_mode);
                Ok((kind == FileType::Fifo).then_some(pipe))
            }
            Err(Errno::NOENT | Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the input of the work away, so that nobody opens it any more.
    pub fn remove_input(&self) -> io::Result<()> {
        self.remove(INPUT)
    }

    /// Makes a pipe with a name; returns the end to read from, then the one to write to, which never waits.
    pub(crate) fn make_pipe(&self, name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
        let open = |flags| {
            rustix::fs::openat(&self.fd, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        };
        self.remove(name)?;
        rustix::fs::mkfifoat(&self.fd, name, private())?;
        // Each end would wait for the other one; this one is both.
        let _both = open(OFlags::RDWR | OFlags::NONBLOCK)?;
        Ok((open(OFlags::RDONLY)?, open(OFlags::WRONLY | OFlags::NONBLOCK)?))
    }

    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        self.remove(SOCKET)?;
        // The mode of a socket file comes from the mask at the time of bind; this program has one thread.
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(self.through_proc(SOCKET));
        rustix::process::umask(before);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Creates a file of which a try that failed may have left something.
    fn create_anew(&self, name: &str) -> io::Result<OwnedFd> {
        match self.create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(name)?;
                self.create(name)
            }
            done => done,
        }
    }

    /// Creates a file that must not exist yet, readable and writable by the owner only.
    pub(crate) fn create(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, name, flags, private())?)
    }

    /// Opens a file for reading; `None` if it does not exist.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<Option<fs::File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the file that is to take this place, with room for a record: no full disk keeps that out any more. Where
    /// the file system cannot promise room there is none, which is no error.
    pub(crate) fn reserve(&self, name: &str) -> io::Result<fs::File> {
        let temporary = temporary(name);
        let file = self.create_anew(&temporary)?;
        let room = || rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED_BYTES);
        match rustix::io::retry_on_intr(room) {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => {
                drop(self.remove(&temporary));
                Err(error.into())
            }
            Ok(()) | Err(_) => Ok(file.into()),
        }
    }

    /// Gives back what was reserved.
    pub(crate) fn release(&self, name: &str) {
        drop(self.remove(&temporary(name)));
    }

    /// Puts a whole file in place so that it is there after a power cut, or was never there.
    ///
    /// A file that replaces another is durable before it takes its place. One that replaces none takes its place first,
    /// so that a journaling file system makes name and content durable in one go; if it is cut off before, its check
    /// sum says so, and nobody was told of it. What was [reserved](Self::reserve) is written first; every other try writes
    /// a new file: what a failed fsync left behind cannot be trusted.
    pub(crate) fn write_durably(
        &self,
        name: &str,
        reserved: Option<fs::File>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let temporary = temporary(name);
        let replaces = self.exists(name);
        let mut file = match reserved.filter(|file| self.is_at(&temporary, file)) {
            Some(reserved) => reserved,
            None => self.create_anew(&temporary)?.into(),
        };
        let written = tried(name, replaces, WriteStep::Write).and_then(|()| {
            file.write_all(bytes)?;
            // The work may have written into what was reserved, and a record ends where its file does.
            file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
        });
        let sync = || tried(name, replaces, WriteStep::Sync).and_then(|()| file.sync_all());
        let written = written.and_then(|()| if replaces { sync() } else { Ok(()) });
        let rename = || {
            tried(name, replaces, WriteStep::Rename)?;
            self.rename(&temporary, name)
        };
        if let Err(error) = written.and_then(|()| rename()) {
            drop(self.remove(&temporary));
            return Err(error);
        }
        if !replaces && let Err(error) = sync() {
            drop(self.remove(name));
            return Err(error);
        }
        tried(name, replaces, WriteStep::Directory)?;
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Makes the entries of this directory in its parents durable, so many levels up.
    pub(crate) fn sync_parents(&self, levels: u8) -> io::Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let mut parent = None;
        for _ in 0..levels {
            let below = parent.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            let above = rustix::fs::openat(below, "..", flags, Mode::empty())?;
            failpoint!("shim.identity.parents")?;
            rustix::fs::fsync(&above)?;
            parent = Some(above);
        }
        Ok(())
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Whether the work has left this open file at its place.
    fn is_at(&self, name: &str, file: &fs::File) -> bool {
        let place = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let birth = |found: rustix::fs::Stat| (found.st_dev, found.st_ino);
        place.is_ok_and(|place| rustix::fs::fstat(file).is_ok_and(|file| birth(place) == birth(file)))
    }

    /// Returns the length of a file in bytes; zero if it does not exist.
    pub(crate) fn length_of(&self, name: &str) -> io::Result<u64> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(u64::try_from(stat.st_size).unwrap_or(0)),
            Err(Errno::NOENT) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether the directory was removed, so that nothing can ever be put into it again.
    pub(crate) fn is_removed(&self) -> bool {
        rustix::fs::fstat(&self.fd).is_ok_and(|stat| stat.st_nlink == 0)
    }

    pub(crate) fn is_own(&self) -> bool {
        let owner = rustix::fs::fstat(&self.fd).map(|stat| stat.st_uid);
        owner == Ok(rustix::process::geteuid().as_raw())
    }

    fn read(&self, name: &'static str) -> Result<Option<Vec<u8>>, AttemptFileError> {
        let read = || -> io::Result<Option<Vec<u8>>> {
            let Some(file) = self.open_file(name)? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            // One byte more than is allowed, so that too long shows.
            file.take(MAX_RECORD_LEN as u64 + 1).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        read().map_err(|source| AttemptFileError::Io { file: name, source })
    }

    fn through_proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }
}

impl AsFd for AttemptDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for AttemptDirectory {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

/// Why a file of an attempt directory could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttemptFileError {
    /// The system refused.
    Io {
        /// The name of the file.
        file: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no whole record.
    Record {
        /// The name of the file.
        file: &'static str,
        /// What is wrong with it.
        source: RecordError,
    },
}

impl AttemptFileError {
    fn in_file(file: &'static str) -> impl FnOnce(RecordError) -> Self {
        move |source| Self::Record { file, source }
    }
}

impl fmt::Display for AttemptFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(out, "cannot read {file} of the attempt: {source}"),
            Self::Record { file, source } => {
                write!(out, "{file} of the attempt is not a valid record: {source}")
            }
        }
    }
}

impl std::error::Error for AttemptFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Record { source, .. } => Some(source),
        }
    }
}

/// A part of putting a file in place.
#[derive(Debug, Clone, Copy)]
enum WriteStep {
    Write,
    Sync,
    Rename,
    Directory,
}

/// Passes the crash point before a part of putting a file in place.
#[cfg_attr(not(debug_assertions), expect(clippy::unnecessary_wraps, reason = "it fails where points are"))]
fn tried(name: &str, replaces: bool, part: WriteStep) -> io::Result<()> {
    let is_identity = name == IDENTITY;
    match part {
        WriteStep::Write if is_identity => failpoint!("shim.identity.write"),
        WriteStep::Sync if is_identity => failpoint!("shim.identity.sync"),
        WriteStep::Rename if is_identity => failpoint!("shim.identity.rename"),
        WriteStep::Directory if is_identity => failpoint!("shim.identity.directory"),
        WriteStep::Write if replaces => failpoint!("shim.settled.write"),
        WriteStep::Sync if replaces => failpoint!("shim.settled.sync"),
        WriteStep::Rename if replaces => failpoint!("shim.settled.rename"),
        WriteStep::Directory if replaces => failpoint!("shim.settled.directory"),
        WriteStep::Write => failpoint!("shim.exit.write"),
        WriteStep::Sync => failpoint!("shim.exit.sync"),
        WriteStep::Rename => failpoint!("shim.exit.rename"),
        WriteStep::Directory => failpoint!("shim.exit.directory"),
    }
}

fn temporary(name: &str) -> String {
    format!("{name}.tmp")
}

fn private() -> Mode {
    Mode::RUSR | Mode::WUSR
}
