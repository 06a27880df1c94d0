//! Records with which store a state directory was served last.
//!
//! Only that store has records of the attempts that are running in the directory. A manager with another store would
//! treat these attempts as unknown.

use crate::binding::{self, UnusableFile, noted};
use crate::compose::{ComposeError, shared};
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use longhaul_client::StateDir;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{Store, StoreError};
use longhaul_shim::AttemptDirectory;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Name of the file that contains the name of the last store, inside the state directory.
const NAME: &str = "last_store";

/// A state directory with running attempts whose last store differs from the configured one.
#[derive(Debug)]
pub(crate) struct StoreMismatch {
    /// Name of the store with which the directory was served last.
    pub(crate) store: String,
    /// Processes with a running attempt in the state directory.
    pub(crate) live: BTreeSet<ProcessId>,
}

impl StoreMismatch {
    /// Returns the running attempts whose records may exist only in the last store. Returns `None` if no attempt is
    /// running or the store has not changed.
    pub(crate) fn found(state: &StateDir, choice: &StoreChoice) -> Option<Self> {
        let store = named(state)?;
        if store == name_of(choice) {
            return None;
        }
        let live = living(&state.path().join(ATTEMPTS));
        (!live.is_empty()).then_some(Self { store, live })
    }

    /// Refuses a store that does not exist yet. Opening the store would create it, but `longhaul store copy` needs a
    /// target that does not exist.
    pub(crate) async fn check_founded(&self, choice: &StoreChoice) -> Result<(), ComposeError> {
        let failed = |source| ComposeError::Store { store: choice.to_string(), source };
        let is_founded = match choice {
            StoreChoice::Memory => false,
            StoreChoice::Sqlite(path) | StoreChoice::Fs(path) => path.exists(),
            StoreChoice::Other(url) if shared::knows(url) => shared::exists(url).await.map_err(failed)?,
            StoreChoice::Other(_) => true,
        };
        if is_founded { Ok(()) } else { Err(self.refused(choice, self.live.first())) }
    }

    /// Refuses a store that lacks the record of a running attempt.
    pub(crate) async fn check_known(
        &self,
        choice: &StoreChoice,
        store: &dyn Store,
    ) -> Result<(), ComposeError> {
        let failed = |source: StoreError| ComposeError::Store { store: choice.to_string(), source };
        let ids: Vec<ProcessId> = self.live.iter().copied().collect();
        let records = store.load(&ids).await.map_err(failed)?;
        match ids.iter().zip(&records).find(|(_, record)| record.is_none()) {
            Some((unknown, _)) => Err(self.refused(choice, Some(unknown))),
            None => Ok(()),
        }
    }

    fn refused(&self, choice: &StoreChoice, live: Option<&ProcessId>) -> ComposeError {
        ComposeError::OtherStore { store: choice.to_string(), last: self.store.clone(), live: live.copied() }
    }
}

/// Returns true if the last manager of the state directory used this store.
pub(crate) fn is_last(state: &StateDir, choice: &StoreChoice) -> bool {
    named(state).is_some_and(|name| name == name_of(choice))
}

/// Records the store with which a state directory is served from now on.
pub(crate) fn note(state: &StateDir, choice: &StoreChoice) -> Result<(), UnusableFile> {
    binding::note(state.path().join(NAME), &name_of(choice))
}

/// Returns a name that distinguishes a store from other stores. The URL of a store that a program added may contain a
/// secret, so the name of such a store consists of the scheme and a hash of the URL.
pub(crate) fn name_of(choice: &StoreChoice) -> String {
    match choice {
        StoreChoice::Other(url) if !shared::knows(url) => {
            let mut hasher = DefaultHasher::new();
            url.hash(&mut hasher);
            format!("{choice}{:016x}", hasher.finish())
        }
        StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) | StoreChoice::Other(_) => {
            choice.to_string()
        }
    }
}

/// Returns the recorded name of the last store. Returns `None` if the state directory was never served or the file is
/// damaged.
fn named(state: &StateDir) -> Option<String> {
    noted(&state.path().join(NAME))
}

/// Returns the processes with a running attempt. Such an attempt is recognized by the lock that its shim holds.
pub(crate) fn living(attempts: &Path) -> BTreeSet<ProcessId> {
    let mut live = BTreeSet::new();
    for entry in fs::read_dir(attempts).into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let mut numbers = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        if numbers.any(|number| is_alive(&number.path())) {
            live.insert(id);
        }
    }
    live
}

fn is_alive(attempt: &Path) -> bool {
    AttemptDirectory::open(attempt).and_then(|directory| directory.is_locked()).unwrap_or(false)
}
