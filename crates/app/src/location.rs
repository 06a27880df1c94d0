//! Records the location of a state directory, in order to distinguish a copy of the directory from the original.
//!
//! A manager of a copy would execute all pending work a second time: queued processes, retries and delayed starts. A
//! manager therefore serves a directory only if its path or its identity (device and inode) is unchanged since the last
//! start. A move, a new device number after a reboot, and a backup restored to its old path all pass this check.

use crate::binding::{StoreBinding, UnusableFile, replace, text_of};
use crate::enclosing_shim::ATTEMPTS;
use crate::last_store::living;
use crate::lock::LOCK;
use crate::state_dir_guard::Inode;
use longhaul_cli::shell_word;
use longhaul_client::StateDir;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Name of the file that contains the recorded location, inside the state directory.
const NAME: &str = "location";

/// Path and identity of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    path: PathBuf,
    place: Inode,
}

/// Error for a state directory that was copied from another one, or was moved to another file system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state directory {} is a copy of {}", state_dir.display(), original.display())]
pub struct CopiedStateDir {
    /// Path of the copy.
    pub state_dir: PathBuf,
    /// Path at which the original was served last.
    pub original: PathBuf,
}

impl Location {
    /// Returns an error if the directory is a copy. Records the current location if the directory is not a copy. A
    /// directory that was never served passes. The inner result is the error from writing the location.
    pub(crate) fn check(state: &StateDir) -> Result<Result<(), UnusableFile>, CopiedStateDir> {
        if let Some(copied) = copied(state) {
            return Err(copied);
        }
        Ok(Self::note(state))
    }

    /// Records the current location of the directory.
    pub(crate) fn note(state: &StateDir) -> Result<(), UnusableFile> {
        let (file, here) = (state.path().join(NAME), Self::of(state));
        match here {
            Some(here) if Self::read(&file).as_ref() != Some(&here) => {
                replace(&file, &here.text()).map_err(|source| UnusableFile { path: file, source })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn of(state: &StateDir) -> Option<Self> {
        let path = fs::canonicalize(state.path()).ok()?;
        Some(Self { path, place: Inode::of(rustix::fs::fstat(state).ok()?) })
    }

    /// Returns the recorded location. Returns `None` if the file is missing or damaged.
    fn read(file: &Path) -> Option<Self> {
        let text = text_of(file).ok()??;
        let (device, rest) = text.strip_prefix("device=")?.split_once("\ninode=")?;
        let (inode, path) = rest.split_once("\npath=")?;
        let place = Inode { device: device.parse().ok()?, inode: inode.parse().ok()? };
        Some(Self { path: path.strip_suffix('\n')?.into(), place })
    }

    fn text(&self) -> String {
        let Self { path, place: Inode { device, inode } } = self;
        format!("device={device}\ninode={inode}\npath={}\n", path.display())
    }
}

/// Returns an error if this state directory is a copy; the error contains the path of the original.
pub(crate) fn copied(state: &StateDir) -> Option<CopiedStateDir> {
    let noted = Location::read(&state.path().join(NAME))?;
    let here = Location::of(state)?;
    let is_same = noted.path == here.path || noted.place == here.place;
    (!is_same).then(|| CopiedStateDir { state_dir: state.path().to_owned(), original: noted.path })
}

impl CopiedStateDir {
    /// Returns true if a manager is serving the original or one of the original's attempts is running.
    pub(crate) fn is_original_at_work(&self) -> bool {
        let lock = File::open(self.original.join(LOCK));
        let is_served =
            lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
        is_served || !living(&self.original.join(ATTEMPTS)).is_empty()
    }

    /// Makes the copy an independent state directory with its own id.
    pub(crate) fn adopt(&self, state: &StateDir) -> Result<(), UnusableFile> {
        // If both directories had the same id, a store that is used by both would treat them as one directory.
        StoreBinding::part(state, &self.original)?;
        Location::note(state)
    }

    /// Returns the reason why the copy is refused.
    pub(crate) fn why(&self) -> String {
        let moved =
            if self.original.exists() { "" } else { "; or the directory was moved to another file system" };
        format!("pending processes of the original would run a second time here{moved}")
    }

    /// Returns advice for the user on how to resolve the error.
    pub(crate) fn help(&self) -> String {
        let original = shell_word(&self.original.to_string_lossy());
        let adopt = "to use this directory from now on, and the original never again: `longhaul store adopt`";
        if self.original.exists() {
            format!("use the original: LONGHAUL_STATE_DIR={original}; {adopt}")
        } else {
            adopt.to_owned()
        }
    }
}
