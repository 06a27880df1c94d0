//! Notifies readers of growing files. All readers share one inotify instance. A directory is watched only while a
//! reader is waiting for it.

use crate::os::pidfd;
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::task::JoinHandle;

const BUFFER: usize = 4 << 10;

/// Notifies waiting readers when a directory changes.
#[derive(Debug, Default)]
pub(super) struct OutputWatcher {
    state: Mutex<GrowthState>,
}

#[derive(Debug, Default)]
struct GrowthState {
    source: Option<InotifySource>,
    watches: BTreeMap<i32, WatchedDir>,
}

/// The inotify instance and the task that reads its events.
#[derive(Debug)]
struct InotifySource {
    inotify: Arc<OwnedFd>,
    listener: JoinHandle<()>,
}

#[derive(Debug)]
struct WatchedDir {
    notify: Arc<Notify>,
    waiters: usize,
}

/// Subscription to the changes of one directory. Dropping the last subscription removes the watch.
#[derive(Debug)]
pub(super) struct WatchGuard {
    growth: Arc<OutputWatcher>,
    watch: i32,
    notify: Arc<Notify>,
}

impl OutputWatcher {
    /// Subscribes to the changes of a directory.
    pub(super) fn interest(this: &Arc<Self>, directory: &Path) -> io::Result<WatchGuard> {
        let mut state = this.lock();
        let inotify = Self::listening(this, &mut state)?;
        let kinds = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
        let watch = add_watch(&*inotify, directory, kinds | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW)?;
        let fresh = || WatchedDir { notify: Arc::default(), waiters: 0 };
        let watched = state.watches.entry(watch).or_insert_with(fresh);
        watched.waiters = watched.waiters.saturating_add(1);
        Ok(WatchGuard { growth: Arc::clone(this), watch, notify: Arc::clone(&watched.notify) })
    }

    /// Ensures that a task is reading the inotify events. Starts a new task if the runtime of the previous task has
    /// ended.
    fn listening(this: &Arc<Self>, state: &mut GrowthState) -> io::Result<Arc<OwnedFd>> {
        if let Some(source) = state.source.as_ref().filter(|source| !source.listener.is_finished()) {
            return Ok(Arc::clone(&source.inotify));
        }
        let inotify = Arc::new(init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        let readiness = pidfd::watch(&*inotify)?;
        let listener = tokio::spawn(listen(Arc::downgrade(this), Arc::clone(&inotify), readiness));
        for (_, watched) in std::mem::take(&mut state.watches) {
            watched.notify.notify_waiters();
        }
        state.source = Some(InotifySource { inotify: Arc::clone(&inotify), listener });
        Ok(inotify)
    }

    fn notify(&self, watch: i32, everybody: bool, gone: bool) {
        let mut state = self.lock();
        for (_, watched) in state.watches.iter().filter(|(each, _)| everybody || **each == watch) {
            watched.notify.notify_waiters();
        }
        if gone {
            // Forget the watch number, because the kernel may reuse it for another directory.
            state.watches.remove(&watch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, GrowthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OutputWatcher {
    fn drop(&mut self) {
        if let Some(source) = &self.lock().source {
            source.listener.abort();
        }
    }
}

impl WatchGuard {
    /// Returns a future that completes at the next change. Changes between this call and the first poll count too.
    pub(super) fn growth(&self) -> std::pin::Pin<Box<OwnedNotified>> {
        let mut growth = Box::pin(Arc::clone(&self.notify).notified_owned());
        growth.as_mut().enable();
        growth
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut state = self.growth.lock();
        let GrowthState { source, watches } = &mut *state;
        let Some(watched) =
            watches.get_mut(&self.watch).filter(|each| Arc::ptr_eq(&each.notify, &self.notify))
        else {
            return;
        };
        watched.waiters = watched.waiters.saturating_sub(1);
        if watched.waiters == 0 {
            watches.remove(&self.watch);
            if let Some(source) = source {
                // Fails if the directory was deleted, because the kernel then removed the watch as well.
                let _gone = remove_watch(&*source.inotify, self.watch);
            }
        }
    }
}

async fn listen(growth: Weak<OutputWatcher>, inotify: Arc<OwnedFd>, readiness: Receiver) {
    while readiness.readable().await.is_ok() {
        let Some(growth) = growth.upgrade() else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = Reader::new(&*inotify, &mut buffer);
        // Read until `WouldBlock`, because only this error makes tokio wait for the next event.
        while let Ok((watch, kinds)) =
            readiness.try_io(|| Ok(events.next().map(|event| (event.wd(), event.events()))?))
        {
            growth.notify(
                watch,
                kinds.contains(ReadFlags::QUEUE_OVERFLOW),
                kinds.contains(ReadFlags::IGNORED),
            );
        }
    }
}
