//! Which store a state directory was served with last.
//!
//! Only that store can tell what becomes of the work that lives in the directory. Another one has no record of it, and a
//! manager that uses it would find strangers where its own work lies.

use crate::binding::{self, UnusableFile, noted};
use crate::compose::{ComposeError, shared};
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use crate::state_dir::StateDir;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{Store, StoreError};
use longhaul_shim::AttemptDirectory;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// The name of the store, in the state directory.
const NAME: &str = "last_store";

/// Work that lives in a state directory, and another store than the one that the directory is served with now.
#[derive(Debug)]
pub(crate) struct StoreMismatch {
    /// The store that the directory was served with last.
    pub(crate) store: String,
    /// What lives.
    pub(crate) live: BTreeSet<ProcessId>,
}

impl StoreMismatch {
    /// The work that another store than this one may know alone; none if nothing lives, or the store is the same.
    pub(crate) fn found(state: &StateDir, choice: &StoreChoice) -> Option<Self> {
        let store = named(state)?;
        if store == name_of(choice) {
            return None;
        }
        let live = living(&state.path().join(ATTEMPTS));
        (!live.is_empty()).then_some(Self { store, live })
    }

    /// Refuses a store that is not there yet: it would be made, and stand in the way of a copy.
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

    /// Refuses a store that has no record of what lives.
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

/// Whether a state directory was served with this store last.
pub(crate) fn is_last(state: &StateDir, choice: &StoreChoice) -> bool {
    named(state).is_some_and(|name| name == name_of(choice))
}

/// Notes with which store a state directory is served from here on.
pub(crate) fn note(state: &StateDir, choice: &StoreChoice) -> Result<(), UnusableFile> {
    binding::note(state.path().join(NAME), &name_of(choice))
}

/// By what a store is told from others. Of a store that a program added, its scheme alone is shown: the rest may hold a
/// secret, and is noted as a number that tells it from another.
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

/// None for a directory that was never served, and for one whose note is damaged.
fn named(state: &StateDir) -> Option<String> {
    noted(&state.path().join(NAME))
}

/// The processes of which an attempt lives: its shim holds the lock.
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
