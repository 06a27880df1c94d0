//! The temporary location of an incomplete copy.

use super::signatures::is_added;
use super::{CopyError, failed, path_of};
use crate::binding::StoreBinding;
use crate::compose::{self, shared};
use crate::config::StoreChoice;
use longhaul_engine::ports::Clock;
use longhaul_failpoint::failpoint;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A copy that is still at a temporary location next to its final location. Because of this location, an interrupted
/// copy is never mistaken for a complete copy.
#[derive(Debug)]
pub(super) struct StagingCopy {
    pub(super) store: StoreChoice,
    place: StoreChoice,
}

impl StagingCopy {
    /// Returns the temporary location for a copy. Fails if the final location is already in use.
    pub(super) fn of(place: &StoreChoice) -> Result<Self, CopyError> {
        let beside = |path: &Path| {
            let mut name = OsString::from(path.as_os_str());
            name.push(".copying");
            PathBuf::from(name)
        };
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        let (free, store) = match place {
            StoreChoice::Memory => return Err(CopyError::Memory),
            StoreChoice::Sqlite(path) => (!taken(path), StoreChoice::Sqlite(beside(path))),
            StoreChoice::Fs(path) => (!taken(path) || is_empty(path), StoreChoice::Fs(beside(path))),
            // A store of a program-added kind has no temporary location. Its content is checked when the store is
            // opened.
            StoreChoice::Other(_) if is_added(place) => (true, place.clone()),
            // Whether a shared store is already in use is checked later, in `cleared`.
            StoreChoice::Other(url) => {
                (true, StoreChoice::Other(shared::draft_of(url).map_err(failed(place))?))
            }
        };
        if !free {
            return Err(exists(place));
        }
        Ok(Self { store, place: place.clone() })
    }

    /// Removes the incomplete data of an interrupted copy. Returns the location of the removed data, or `None` if there
    /// was no such data.
    pub(super) async fn cleared(&self, clock: &Arc<dyn Clock>) -> Result<Option<String>, CopyError> {
        let Some(path) = path_of(&self.store)? else {
            return if is_added(&self.store) { Ok(None) } else { self.cleared_shared().await };
        };
        if !taken(path) {
            return Ok(None);
        }
        match compose::movable(&self.store, clock).await {
            // Another copy to the same location is in progress.
            Ok(None) => {
                Err(CopyError::InUse { store: self.store.to_string(), user: "another copy".to_owned() })
            }
            Ok(Some(_leftover)) => {
                self.discard().await;
                Ok(Some(path.display().to_string()))
            }
            // An interrupted copy cannot have left this content behind, so the path is not removed.
            Err(_) => Err(exists(&self.store)),
        }
    }

    async fn cleared_shared(&self) -> Result<Option<String>, CopyError> {
        let (StoreChoice::Other(draft), StoreChoice::Other(place)) = (&self.store, &self.place) else {
            return Ok(None);
        };
        if shared::exists(place).await.map_err(failed(&self.place))? {
            return Err(exists(&self.place));
        }
        let left = shared::discard(draft).await.map_err(failed(&self.store))?;
        Ok(left.then(|| self.store.to_string()))
    }

    /// Moves the complete copy to its final location. `from` is the original store, whose binding is copied too.
    pub(super) async fn put_in_place(&self, from: &StoreChoice) -> Result<(), CopyError> {
        match (&self.store, &self.place) {
            (StoreChoice::Other(draft), StoreChoice::Other(place)) if !is_added(&self.place) => {
                match shared::put_in_place(draft, place).await.map_err(failed(&self.place))? {
                    true => Ok(()),
                    false => Err(exists(&self.place)),
                }
            }
            (store, place) => {
                // The binding of a database is a separate file, which is not moved together with the database.
                // Therefore the binding is written directly to the final location.
                let bound = if matches!(place, StoreChoice::Sqlite(_)) { place } else { store };
                StoreBinding::copy(from, bound)?;
                match (path_of(store)?, path_of(place)?) {
                    (Some(draft), Some(place)) => publish(draft, place),
                    (_, _) => Ok(()),
                }
            }
        }
    }

    /// Removes the incomplete copy from its temporary location.
    pub(super) async fn discard(&self) {
        // Errors are ignored, because the error that made the copy fail is more important. The next copy removes the
        // remains.
        match &self.store {
            StoreChoice::Memory => {}
            StoreChoice::Other(_) if is_added(&self.store) => {}
            StoreChoice::Other(url) => {
                let _ = shared::discard(url).await;
            }
            StoreChoice::Fs(path) | StoreChoice::Sqlite(path) if path.is_dir() => {
                let _ = fs::remove_dir_all(path);
            }
            StoreChoice::Fs(path) | StoreChoice::Sqlite(path) => {
                for ending in ["-wal", "-shm", "-journal", ""] {
                    let mut name = OsString::from(path.as_os_str());
                    name.push(ending);
                    let _ = fs::remove_file(PathBuf::from(name));
                }
            }
        }
    }
}

fn exists(store: &StoreChoice) -> CopyError {
    let place = match store {
        StoreChoice::Sqlite(path) | StoreChoice::Fs(path) => path.display().to_string(),
        StoreChoice::Memory | StoreChoice::Other(_) => store.to_string(),
    };
    CopyError::Exists { place }
}

fn taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn publish(draft: &Path, place: &Path) -> Result<(), CopyError> {
    let renamed = failpoint!("app.copy.rename").and_then(|()| fs::rename(draft, place)).and_then(|()| {
        failpoint!("app.copy.directory")?;
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    });
    renamed.map_err(|source| CopyError::File { path: place.to_owned(), source })
}
