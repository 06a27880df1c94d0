//! Records which task waits for which child process.

use super::procfs;
use longhaul_shim::ProcessStat;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};
use std::collections::BTreeSet;
use std::io;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Records for which children a task is waiting. If this program adopts orphans, reaps all other children.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    awaited: Mutex<BTreeSet<u32>>,
    /// Notifies subscribers when a child has been stopped or continued by a signal. Used only if this program adopts
    /// orphans.
    halts: watch::Sender<()>,
}

impl Reaper {
    /// Makes this program adopt orphaned descendants, and reaps them from now on.
    pub(super) fn adopt_orphans(this: &Arc<Self>) -> io::Result<()> {
        set_child_subreaper(Some(getpid()))?;
        let ended = signal(SignalKind::child())?;
        let reaper = Arc::downgrade(this);
        tokio::spawn(async move {
            let mut ended: Signal = ended;
            while ended.recv().await.is_some() {
                let Some(reaper) = reaper.upgrade() else {
                    return;
                };
                reaper.hear_of_halts();
                reaper.reap_orphans();
            }
        });
        Ok(())
    }

    /// Returns a receiver that is notified when a child has been stopped or continued, if this program adopts orphans.
    pub(super) fn halts(&self) -> watch::Receiver<()> {
        self.halts.subscribe()
    }

    /// Starts a child. The caller must wait for the child.
    pub(super) fn start<T>(&self, start: impl FnOnce() -> io::Result<(Child, T)>) -> io::Result<(Child, T)> {
        // Hold the lock during the start, so that a child that ends immediately is not mistaken for an orphan.
        let mut awaited = self.lock();
        let started = start()?;
        awaited.insert(started.0.id());
        Ok(started)
    }

    /// Reserves a process for the caller to reap, in case it becomes a child of this program.
    pub(super) fn claim(&self, pid: u32) {
        self.lock().insert(pid);
    }

    /// Ends the reservation of a process.
    pub(super) fn release(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    fn hear_of_halts(&self) {
        let changed = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        let mut is_news = false;
        while let Ok(Some(_)) = waitid(WaitId::All, changed) {
            is_news = true;
        }
        if is_news {
            self.halts.send_replace(());
        }
    }

    fn reap_orphans(&self) {
        // Most ended children are shims, which their waiting tasks have already reaped. In that case no search is
        // needed.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Ok(None) | Err(Errno::CHILD) = waitid(WaitId::All, look) {
            return;
        }
        let awaited = self.lock();
        let me = std::process::id();
        let orphans = match procfs::own_children() {
            Some(children) => {
                let orphans = children.into_iter().filter(|pid| !awaited.contains(pid));
                orphans.filter_map(ProcessStat::read).collect()
            }
            None => ProcessStat::everyone(),
        };
        for stat in orphans {
            if stat.parent == me && stat.is_dead() && !awaited.contains(&stat.pid) {
                let pid = i32::try_from(stat.pid).ok().and_then(Pid::from_raw);
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                if let Some(Err(error)) = pid.map(|pid| waitid(WaitId::Pid(pid), options)) {
                    tracing::debug!(pid = stat.pid, %error, "another thread has already reaped an orphan");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
