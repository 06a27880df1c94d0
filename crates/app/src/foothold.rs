//! Whether a manager still stands where it began: on the state directory that its path leads to.
//!
//! A directory that was removed, moved or replaced has another lock than the one that is held, or none. Whoever comes to
//! that path then may be its manager too, so that the first one has to leave: it acknowledges nothing from there on, and
//! what runs is found by whoever serves the directory that it was started in.

mod guarded;

pub(crate) use guarded::GuardedStore;

use crate::lock::{LOCK, ManagerLock};
use crate::state_dir::StateDir;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// So often one that has nothing to acknowledge looks: no event tells of everything that leads a path elsewhere.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// The lock of a manager, and the path where others look for it. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Foothold {
    lock: PathBuf,
    held: Place,
    lost: Arc<watch::Sender<bool>>,
}

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
}

impl Foothold {
    /// Where this lock is held.
    pub(crate) fn of(state: &StateDir, lock: &ManagerLock) -> io::Result<Self> {
        let held = Place::of(rustix::fs::fstat(lock)?);
        Ok(Self { lock: state.path().join(LOCK), held, lost: Arc::new(watch::Sender::new(false)) })
    }

    /// Looks whether the path still leads to the lock that is held; once it did not, it never does again.
    pub(crate) fn holds(&self) -> bool {
        if !self.is_lost() && self.is_elsewhere() {
            self.lost.send_replace(true);
        }
        !self.is_lost()
    }

    /// Whether somebody saw that it is lost.
    pub(crate) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Parks until it is lost.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.subscribe();
        while self.holds() {
            tokio::select! {
                _ = lost.wait_for(|lost| *lost) => return,
                () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
            }
        }
    }

    fn is_elsewhere(&self) -> bool {
        match rustix::fs::stat(&self.lock) {
            Ok(found) => Place::of(found) != self.held,
            // What cannot be looked at may be there: a file system that fails drives nobody away.
            Err(errno) => matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
        }
    }
}

impl Place {
    const fn of(stat: rustix::fs::Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[tokio::test(start_paused = true)]
    async fn directory_that_is_removed_moved_or_replaced_is_lost_within_a_second() {
        for take_away in [removed, moved, replaced, without_its_lock, below_a_moved_one, with_another_lock] {
            let top = tempfile::tempdir().unwrap();
            let path = top.path().join("above/state");
            let state = StateDir::prepare(&path).unwrap();
            let lock = ManagerLock::take(&state).unwrap();
            let foothold = Foothold::of(&state, &lock).unwrap();
            assert!(foothold.holds());
            let waiting = tokio::time::timeout(Duration::from_millis(1_100), foothold.lost());
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
            take_away(&path);
            waiting.await.unwrap();
            assert!(foothold.is_lost() && !foothold.clone().holds());
        }
    }

    #[test]
    fn what_was_lost_once_stays_lost() {
        let top = tempfile::tempdir().unwrap();
        let (path, aside) = (top.path().join("state"), top.path().join("aside"));
        let state = StateDir::prepare(&path).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let foothold = Foothold::of(&state, &lock).unwrap();
        fs::rename(&path, &aside).unwrap();
        assert!(!foothold.holds());
        fs::rename(&aside, &path).unwrap();
        assert!(!foothold.holds(), "another manager may have been there meanwhile");
    }

    #[test]
    fn path_that_leads_there_another_way_is_no_loss() {
        let top = tempfile::tempdir().unwrap();
        let (real, link) = (top.path().join("real"), top.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let state = StateDir::prepare(&link.join("state")).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let foothold = Foothold::of(&state, &lock).unwrap();
        fs::remove_file(&link).unwrap();
        fs::rename(&real, &link).unwrap();
        assert!(foothold.holds());
    }

    fn removed(path: &Path) {
        fs::remove_dir_all(path).unwrap();
    }

    fn moved(path: &Path) {
        fs::rename(path, path.with_extension("aside")).unwrap();
    }

    fn replaced(path: &Path) {
        moved(path);
        let other = StateDir::prepare(path).unwrap();
        ManagerLock::take(&other).unwrap();
    }

    fn without_its_lock(path: &Path) {
        fs::remove_file(path.join(LOCK)).unwrap();
    }

    fn below_a_moved_one(path: &Path) {
        moved(path.parent().unwrap());
    }

    fn with_another_lock(path: &Path) {
        without_its_lock(path);
        ManagerLock::take(&StateDir::find(path).unwrap()).unwrap();
    }
}
