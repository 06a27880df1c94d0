//! The input of a command that reads from a pipe, held open for writing.
//!
//! What was written and not read when the command ends is lost; nobody can tell how much that was.

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

/// How long a pipe that is full is waited for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The write end of the input of a command. While it lives the input does not end, not even when the shim does.
#[derive(Debug)]
pub(super) struct CommandInput {
    pipe: Mutex<Option<Sender>>,
}

/// The right to write, which one at a time has, so that what several write does not mix.
#[derive(Debug)]
pub(super) struct WriteTurn<'a> {
    pipe: MutexGuard<'a, Option<Sender>>,
}

/// Why nothing can be written.
#[derive(Debug)]
pub(super) enum InputError {
    /// There is no pipe, it was closed, or nobody reads from it any more.
    Closed,
    /// The system says so.
    Failed(String),
}

impl CommandInput {
    /// Opens the input of an attempt; none if nothing can be written there.
    pub(super) fn open(directory: &AttemptDirectory) -> io::Result<Option<Arc<Self>>> {
        let Some(pipe) = directory.input()? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Self { pipe: Mutex::new(Some(Sender::from_owned_fd(pipe)?)) })))
    }

    /// Waits until nobody else writes.
    pub(super) async fn turn(&self) -> WriteTurn<'_> {
        WriteTurn { pipe: self.pipe.lock().await }
    }
}

impl WriteTurn<'_> {
    /// Writes what the pipe takes within a second; returns how many bytes that were.
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

    /// Lets go of the pipe: nobody who waits for a turn writes any more.
    pub(super) fn end(mut self) {
        *self.pipe = None;
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Whether nobody has the pipe open for reading.
fn is_unread(pipe: &Sender) -> io::Result<bool> {
    let mut fds = [PollFd::new(pipe, PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default()))?;
    Ok(fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR)))
}

/// Writes while this program reads from the pipe too, so that a reader that goes away in this very moment brings no
/// SIGPIPE to whoever may have asked for it.
fn write_unharmed(pipe: &Sender, bytes: &[u8]) -> io::Result<usize> {
    let _reader = reader(pipe)?;
    pipe.try_write(bytes)
}

fn reader(pipe: &Sender) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
    Ok(openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}
