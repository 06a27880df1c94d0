//! Access to the files of one attempt directory, through an open descriptor of the directory.

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
    progress::PROGRESS,
    record::{MAX_RECORD_LEN, RecordError},
};

/// File name of the control socket on which the shim listens.
pub const SOCKET: &str = "ctl";
/// Name of the identity file, which identifies the processes of the attempt.
pub const IDENTITY: &str = "identity";
/// File name of the exit record.
pub const EXIT: &str = "exit";
/// File name of the named pipe that the command reads as its input.
pub const INPUT: &str = "stdin";

/// Disk space in bytes that is reserved for an exit record. It is enough for every exit record, and is one block on
/// most disks.
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
    /// Opens an existing attempt directory. Fails if the last component of the path is a symbolic link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Self { fd: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Returns the identity of the attempt, or `None` if the attempt has no identity file, which means that its command
    /// never started.
    pub fn identity(&self) -> Result<Option<Identity>, AttemptFileError> {
        let bytes = self.read(IDENTITY)?;
        bytes.map(|bytes| Identity::decode(&bytes)).transpose().map_err(AttemptFileError::in_file(IDENTITY))
    }

    /// Returns the exit record of the attempt, or `None` if the end of the attempt was not recorded.
    pub fn exit_record(&self) -> Result<Option<ExitRecord>, AttemptFileError> {
        let bytes = self.read(EXIT)?;
        bytes.map(|bytes| ExitRecord::decode(&bytes)).transpose().map_err(AttemptFileError::in_file(EXIT))
    }

    /// Returns true if a shim holds the lock on the attempt directory, which means that the shim is alive.
    pub fn is_locked(&self) -> io::Result<bool> {
        match rustix::fs::flock(self.reopened()?, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lock on the attempt directory, and holds it while the returned descriptor is open. Returns `None` if
    /// another process holds the lock.
    ///
    /// The lock is on the directory itself. A lock file would cost one inode per attempt, and could be removed.
    pub fn lock(&self) -> io::Result<Option<OwnedFd>> {
        let directory = self.reopened()?;
        for _ in 0..MAX_LOCK_ATTEMPTS {
            match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(directory)),
                // A process that calls `is_locked` holds the lock for a moment, so retry.
                Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_RETRY_DELAY),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Opens the directory again. A `flock` lock belongs to an open file description, so each lock holder needs a
    /// separate one.
    fn reopened(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, ".", flags, Mode::empty())?)
    }

    /// Connects to the control socket of the shim, however long the path of the attempt directory is.
    ///
    /// The connection fails if the shim has just started and has not created its socket yet.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.through_proc(SOCKET))
    }

    /// Connects to the shim. If the shim is alive but has not created its control socket yet, waits for the socket for
    /// up to `time_limit`.
    pub fn connect_within(&self, time_limit: Duration) -> io::Result<UnixStream> {
        let begin = Instant::now();
        loop {
            match self.connect() {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                        && begin.elapsed() < time_limit
                        && self.is_locked()? =>
                {
                    std::thread::sleep(CONNECT_RETRY_DELAY);
                }
                done => return done,
            }
        }
    }

    /// Opens the named pipe that the command reads as its input, for writing and without blocking.
    ///
    /// Returns `None` if the input is not a named pipe, was closed, or has no reader. The command does not reach the
    /// end of its input while the returned descriptor is open, even if the shim ends.
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

    /// Removes the input pipe of the command, so that no process can open it again.
    pub fn remove_input(&self) -> io::Result<()> {
        self.remove(INPUT)
    }

    /// Creates a named pipe. Returns the read end, which blocks, and the write end, which does not block.
    pub(crate) fn make_pipe(&self, name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
        let open = |flags| {
            rustix::fs::openat(&self.fd, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        };
        self.remove(name)?;
        rustix::fs::mkfifoat(&self.fd, name, private())?;
        // Opening one end of a named pipe blocks until the other end is open. This temporary descriptor counts as both
        // ends, so the two calls below do not block.
        let _both = open(OFlags::RDWR | OFlags::NONBLOCK)?;
        Ok((open(OFlags::RDONLY)?, open(OFlags::WRONLY | OFlags::NONBLOCK)?))
    }

    /// Creates the progress file and opens it for appending. A reader can trim the file later without disturbing the
    /// writer.
    pub(crate) fn create_progress(&self) -> io::Result<OwnedFd> {
        self.remove(PROGRESS)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.fd, PROGRESS, flags | OFlags::CLOEXEC, private())?)
    }

    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        self.remove(SOCKET)?;
        // `bind` derives the mode of the socket file from the umask. Changing the umask is safe, because this program
        // has one thread.
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(self.through_proc(SOCKET));
        rustix::process::umask(before);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Creates a file. Removes a file of the same name that an earlier, failed attempt to create it may have left.
    fn recreate(&self, name: &str) -> io::Result<OwnedFd> {
        match self.create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(name)?;
                self.create(name)
            }
            done => done,
        }
    }

    /// Creates a file that only the owner can read and write. Fails if the file exists.
    pub(crate) fn create(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, name, flags, private())?)
    }

    /// Opens a file for reading. Returns `None` if the file does not exist.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<Option<fs::File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the temporary file that is later renamed to `name`. Reserves disk space for one record in it, so that
    /// the record can be written even if the disk becomes full.
    ///
    /// On a file system that cannot reserve space, the function only creates the file; this is not an error.
    pub(crate) fn reserve(&self, name: &str) -> io::Result<fs::File> {
        let temporary = temporary(name);
        let file = self.recreate(&temporary)?;
        let room = || rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED_BYTES);
        match rustix::io::retry_on_intr(room) {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => {
                drop(self.remove(&temporary));
                Err(error.into())
            }
            Ok(()) | Err(_) => Ok(file.into()),
        }
    }

    /// Removes the temporary file with the reserved disk space.
    pub(crate) fn release(&self, name: &str) {
        drop(self.remove(&temporary(name)));
    }

    /// Writes a file so that after a power cut the file is either complete or absent.
    ///
    /// - If the file replaces another one, the content is synced before the rename.
    /// - If the file is new, the rename comes first, so that a journaling file system commits the name and the content
    ///   together. If power fails in between, the checksum shows that the content is incomplete. This loses nothing,
    ///   because the record was not reported yet.
    ///
    /// The first call writes into the [reserved](Self::reserve) file. Every retry writes a new file, because the state
    /// of a file after a failed fsync cannot be trusted.
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
            None => self.recreate(&temporary)?.into(),
        };
        let written = tried(name, replaces, WriteStep::Write).and_then(|()| {
            file.write_all(bytes)?;
            // Truncate the file after the record: the command may have written more bytes into the reserved file.
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

    /// Syncs the parent directories of the attempt directory, `levels` levels upwards, so that their entries are
    /// durable.
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

    /// Returns true if the path `name` still refers to this open file. The command may have removed or replaced the
    /// file.
    fn is_at(&self, name: &str, file: &fs::File) -> bool {
        let place = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let birth = |found: rustix::fs::Stat| (found.st_dev, found.st_ino);
        place.is_ok_and(|place| rustix::fs::fstat(file).is_ok_and(|file| birth(place) == birth(file)))
    }

    /// Returns the length of a file in bytes, or zero if the file does not exist.
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

    /// Returns true if the attempt directory was removed, so that no file can be created in it.
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
            // Read one byte more than the maximum length, to detect a file that is too long.
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

/// Error of reading a file in an attempt directory.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttemptFileError {
    /// The operating system returned an error.
    Io {
        /// Name of the file that could not be read.
        file: &'static str,
        /// Error that the operating system returned.
        source: io::Error,
    },
    /// The file does not contain a complete, valid record.
    Record {
        /// Name of the file with the invalid record.
        file: &'static str,
        /// Description of the defect of the record.
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

/// Step of a durable file write.
#[derive(Debug, Clone, Copy)]
enum WriteStep {
    Write,
    Sync,
    Rename,
    Directory,
}

/// Passes the failpoint that precedes a step of a durable file write. Returns the error that the failpoint injects.
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
