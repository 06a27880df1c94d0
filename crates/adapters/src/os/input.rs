//! The standard input of a command that reads from a pipe. The manager holds the pipe open for writing.
//!
//! Bytes that are written but not read before the command ends are lost. Their number is unknown.

use longhaul_shim::AttemptDirectory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe::Sender;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

/// Maximum time to wait for space in a full pipe.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Write end of the standard input of a command. While this value exists, the input does not end, even if the shim
/// ends.
#[derive(Debug)]
pub(super) struct CommandInput {
    pipe: Mutex<Option<Sender>>,
}

/// Exclusive right to write to the input, so that the bytes of several writers do not mix.
#[derive(Debug)]
pub(super) struct WriteTurn<'a> {
    pipe: MutexGuard<'a, Option<Sender>>,
}

/// Reason why bytes cannot be written to the input.
#[derive(Debug)]
pub(super) enum InputError {
    /// The attempt has no input pipe, the pipe was closed, or no process has it open for reading.
    Closed,
    /// Error text of the operating system.
    Failed(String),
}

impl CommandInput {
    /// Opens the input of an attempt. Returns `None` if the attempt has no writable input.
    pub(super) fn open(directory: &AttemptDirectory) -> io::Result<Option<Arc<Self>>> {
        let Some(pipe) = directory.input()? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Self { pipe: Mutex::new(Some(Sender::from_owned_fd(pipe)?)) })))
    }

    /// Waits until no other task is writing, and returns the right to write.
    pub(super) async fn turn(&self) -> WriteTurn<'_> {
        WriteTurn { pipe: self.pipe.lock().await }
    }
}

impl WriteTurn<'_> {
    /// Writes as many bytes as the pipe accepts within [`WRITE_TIMEOUT`]. Returns the number of written bytes.
    pub(super) async fn write(&self, bytes: &[u8]) -> Result<usize, InputError> {
        let pipe = self.pipe.as_ref().ok_or(InputError::Closed)?;
        let end = Instant::now() + WRITE_TIMEOUT;
        let mut written = 0;
        loop {
            if is_unread(pipe)? {
                return if written == 0 { Err(InputError::Closed) } else { Ok(written) };
            }
            let rest = bytes.get(written..).unwrap_or(&[]);
            if rest.is_empty() {
                return Ok(written);
            }
            match write_unharmed(pipe, rest) {
                Ok(taken) => written = written.saturating_add(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match timeout_at(end, pipe.writable()).await {
                        Ok(ready) => ready?,
                        Err(_) => return Ok(written),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Closes the pipe. Later writers fail with [`InputError::Closed`].
    pub(super) fn end(mut self) {
        *self.pipe = None;
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Returns true if no process has the pipe open for reading.
fn is_unread(pipe: &Sender) -> io::Result<bool> {
    let mut fds = [PollFd::new(pipe, PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default()))?;
    Ok(fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR)))
}

/// Writes to the pipe while this program itself has the pipe open for reading. The write therefore cannot raise
/// `SIGPIPE` if the last other reader closes the pipe at this moment.
fn write_unharmed(pipe: &Sender, bytes: &[u8]) -> io::Result<usize> {
    let _reader = reader(pipe)?;
    pipe.try_write(bytes)
}

fn reader(pipe: &Sender) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
    Ok(openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}
