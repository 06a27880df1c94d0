//! Tells when a path may lead elsewhere, so that nobody has to look all the time.
//!
//! What stands at a path is listened to by itself, and so is every directory and link on the way: ordinary work adds and
//! removes files beside them and is not heard. Nobody hears of a mount, of a link behind a link, or of a change that another
//! machine makes to a shared file system: a look now and then stands behind.

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;

/// So often it is looked at what is listened to.
pub(crate) const BEHIND: Duration = Duration::from_secs(60);
/// So often it is looked at what cannot be listened to, and so long after an alarm once more: who removes a directory
/// begins with what is in it.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Nothing is read of what was heard but that it was.
const BUFFER: usize = 4 << 10;
/// File systems of which all changes pass through the kernel of this machine: bcachefs, btrfs, ext, f2fs, overlay, ramfs,
/// tmpfs, XFS, ZFS.
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

/// Hears of what happens to guarded paths.
#[derive(Debug)]
pub(super) struct PathWatcher {
    inotify: Option<OwnedFd>,
    /// Something is guarded that cannot be heard of.
    is_deaf: AtomicBool,
    /// Something is guarded from now on.
    guarded: Notify,
}

/// Somebody who waits for an alarm.
#[derive(Debug)]
pub(super) struct PathWaiter<'a> {
    alarm: &'a PathWatcher,
    /// Used for nothing but to wait until something can be read, as from any descriptor.
    heard: Option<Receiver>,
    /// Nothing happened since the last look.
    is_calm: bool,
}

impl PathWatcher {
    /// One that hears nothing yet.
    pub(super) fn open() -> Self {
        let opened = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let inotify = opened.inspect_err(|error| tracing::debug!(%error, "no path can be listened to")).ok();
        Self { inotify, ..Self::deaf() }
    }

    /// One that never hears anything.
    pub(super) fn deaf() -> Self {
        Self { inotify: None, is_deaf: AtomicBool::new(false), guarded: Notify::new() }
    }

    /// Listens to whatever may lead this path elsewhere.
    pub(super) fn guard(&self, path: &Path) {
        if let Some(inotify) = &self.inotify
            && let Err(error) = guard(inotify, path)
        {
            tracing::debug!(%error, path = %path.display(), "a path cannot be listened to");
            self.is_deaf.store(true, Ordering::Relaxed);
        }
        self.guarded.notify_one();
    }

    /// Begins to wait; to be called inside the runtime.
    pub(super) fn ear(&self) -> PathWaiter<'_> {
        let heard = self.inotify.as_ref().and_then(|inotify| {
            let opened = inotify.try_clone().and_then(Receiver::from_owned_fd_unchecked);
            opened.inspect_err(|error| tracing::debug!(%error, "no path can be listened to")).ok()
        });
        PathWaiter { alarm: self, heard, is_calm: true }
    }
}

impl PathWaiter<'_> {
    /// Parks until something may have happened, or until it is time to look anyway.
    pub(super) async fn rings(&mut self) {
        let hears = self.heard.is_some() && !self.alarm.is_deaf.load(Ordering::Relaxed);
        let pause = if hears && self.is_calm { BEHIND } else { POLL_INTERVAL };
        self.is_calm = tokio::select! {
            rung = rung(self.heard.as_ref()) => {
                if rung.is_err() {
                    self.heard = None;
                }
                false
            }
            () = self.alarm.guarded.notified() => self.is_calm,
            () = tokio::time::sleep(pause) => true,
        };
    }
}

/// Parks until something was heard, and takes note of all of it.
async fn rung(heard: Option<&Receiver>) -> io::Result<()> {
    let Some(heard) = heard else { return std::future::pending().await };
    let mut events = [0; BUFFER];
    loop {
        heard.readable().await?;
        let mut is_rung = false;
        // Ends with the error that there is nothing left, by which the runtime knows to wait again.
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

/// Listens to a path; an error means that there is something that will not be heard of.
fn guard(inotify: &OwnedFd, path: &Path) -> io::Result<()> {
    let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::MASK_ADD;
    // What cannot be listened to on the way belongs to somebody else.
    let _ = path.canonicalize().map(|real| {
        for above in path.ancestors().chain(real.ancestors()).skip(1) {
            // A link is replaced by a link, of which its number of names tells.
            let _ = add_watch(inotify, above, itself | WatchFlags::ATTRIB | WatchFlags::DONT_FOLLOW);
        }
    });
    // One without a name is told as changed, as long as somebody has it open.
    let names = WatchFlags::ATTRIB | WatchFlags::DELETE;
    match add_watch(inotify, path, itself | names | WatchFlags::DONT_FOLLOW) {
        Ok(_) => {}
        // Whoever looks next sees that it is gone.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let kind = u64::try_from(rustix::fs::statfs(path)?.f_type).unwrap_or(0);
    if OF_THIS_MACHINE.contains(&kind) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("others may change its file system ({kind:#x})")))
}
