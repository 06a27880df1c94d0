//! Reports when a path may lead to another file, so that paths need not be polled frequently.
//!
//! The watcher uses inotify on the file at the path and on each directory and link in the path itself, not on the
//! content of the directories. Ordinary work creates and removes other files and therefore causes no wake-ups.
//!
//! Inotify does not report mounts, changes of a link that another link leads to, and changes that another machine makes
//! in a shared file system. Periodic inspections detect these changes.

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;

/// Interval between two inspections of paths whose changes inotify reports.
pub(crate) const FALLBACK_INTERVAL: Duration = Duration::from_secs(60);
/// Interval between two inspections of paths whose changes inotify does not report. Also the time until a second
/// inspection after a reported change. The second inspection is needed because a directory is removed only after its
/// content.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Size in bytes of the buffer for inotify events. The content of the events is not used.
const BUFFER: usize = 4 << 10;
/// File systems that only the kernel of this machine can change, by their `statfs` type: bcachefs, btrfs, ext, f2fs,
/// overlay, ramfs, tmpfs, XFS, ZFS.
const OF_THIS_MACHINE: [u64; 9] = [
    0xca45_1a4e,
    0x9123_683e,
    0xef53,
    0xf2f5_2010,
    0x794c_7630,
    0x8584_58f6,
    0x0102_1994,
    0x5846_5342,
    0x2fc1_2fc1,
];

/// Watches paths for changes with inotify.
#[derive(Debug)]
pub(super) struct PathWatcher {
    inotify: Option<OwnedFd>,
    /// True if inotify does not report all changes of a watched path.
    is_deaf: AtomicBool,
    /// Wakes the waiter when a path is added to the watched paths.
    guarded: Notify,
}

/// Waits for changes of the watched paths.
#[derive(Debug)]
pub(super) struct PathWaiter<'a> {
    alarm: &'a PathWatcher,
    /// The inotify descriptor. Tokio has no type for inotify, so a pipe receiver is used to wait until the descriptor
    /// is readable.
    heard: Option<Receiver>,
    /// True if no change was reported since the last inspection.
    is_calm: bool,
}

impl PathWatcher {
    /// Creates a watcher that does not watch any path yet.
    pub(super) fn open() -> Self {
        let opened = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let inotify = opened
            .inspect_err(|error| {
                tracing::debug!(%error, "inotify cannot be used; paths are checked \
         periodically")
            })
            .ok();
        Self { inotify, ..Self::deaf() }
    }

    /// Creates a watcher without inotify. Its waiters inspect the paths every [`POLL_INTERVAL`].
    pub(super) fn deaf() -> Self {
        Self { inotify: None, is_deaf: AtomicBool::new(false), guarded: Notify::new() }
    }

    /// Watches a path, and all directories and links that determine which file the path leads to.
    pub(super) fn guard(&self, path: &Path) {
        if let Some(inotify) = &self.inotify
            && let Err(error) = guard(inotify, path)
        {
            tracing::debug!(%error, path = %path.display(), "inotify cannot watch the path; paths are checked \
             periodically");
            self.is_deaf.store(true, Ordering::Relaxed);
        }
        self.guarded.notify_one();
    }

    /// Creates a waiter for changes of the watched paths. The caller must be inside a Tokio runtime.
    pub(super) fn waiter(&self) -> PathWaiter<'_> {
        let heard = self.inotify.as_ref().and_then(|inotify| {
            let opened = inotify.try_clone().and_then(Receiver::from_owned_fd_unchecked);
            opened
                .inspect_err(|error| {
                    tracing::debug!(%error, "inotify cannot be used; paths are checked \
             periodically")
                })
                .ok()
        });
        PathWaiter { alarm: self, heard, is_calm: true }
    }
}

impl PathWaiter<'_> {
    /// Waits until a path may have changed, or until the next periodic inspection.
    pub(super) async fn rings(&mut self) {
        let hears = self.heard.is_some() && !self.alarm.is_deaf.load(Ordering::Relaxed);
        let pause = if hears && self.is_calm { FALLBACK_INTERVAL } else { POLL_INTERVAL };
        self.is_calm = tokio::select! {
            notified = notified(self.heard.as_ref()) => {
                if notified.is_err() {
                    self.heard = None;
                }
                false
            }
            () = self.alarm.guarded.notified() => self.is_calm,
            () = tokio::time::sleep(pause) => true,
        };
    }
}

/// Waits for inotify events and reads all pending ones.
async fn notified(heard: Option<&Receiver>) -> io::Result<()> {
    let Some(heard) = heard else { return std::future::pending().await };
    let mut events = [0; BUFFER];
    loop {
        heard.readable().await?;
        let mut is_rung = false;
        // Read until `WouldBlock`, which re-arms tokio's readiness.
        loop {
            match heard.try_read(&mut events) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => is_rung = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if is_rung {
            return Ok(());
        }
    }
}

/// Adds inotify watches for a path. Returns an error if inotify cannot report all changes of the path.
fn guard(inotify: &OwnedFd, path: &Path) -> io::Result<()> {
    let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::MASK_ADD;
    // Directories and links above the path may belong to other users, so watches on them may fail. Such errors are
    // ignored.
    let _ = path.canonicalize().map(|real| {
        for above in path.ancestors().chain(real.ancestors()).skip(1) {
            // Replacing a link changes the link count of the old link, which `IN_ATTRIB` reports.
            let _ = add_watch(inotify, above, itself | WatchFlags::ATTRIB | WatchFlags::DONT_FOLLOW);
        }
    });
    // Unlinking a file that is still open raises `IN_ATTRIB`, not `IN_DELETE_SELF`.
    let names = WatchFlags::ATTRIB | WatchFlags::DELETE;
    match add_watch(inotify, path, itself | names | WatchFlags::DONT_FOLLOW) {
        Ok(_) => {}
        // A missing path is not an error, because the next inspection detects it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let kind = u64::try_from(rustix::fs::statfs(path)?.f_type).unwrap_or(0);
    if OF_THIS_MACHINE.contains(&kind) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!(
            "other machines may change this file system ({kind:#x}) \
     without a notification"
        ),
    ))
}
