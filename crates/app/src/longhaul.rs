//! The handle of a longhaul inside a program.

use crate::builder::Builder;
use crate::compose::{ComposedParts, HostContext, compose};
use crate::config::{ConfigSources, ManagerConfig};
use crate::dispatch;
use crate::failure::ProgramError;
use crate::lock::ManagerLock;
use crate::serve::{EngineAddress, engine_settings};
use crate::state_dir::StateDir;
use crate::state_dir_guard::{CheckedStore, StateDirGuard};
use longhaul_engine::{Engine, Shutdown};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// The handle of a longhaul inside this program: an engine with its store, and everything that it runs.
///
/// Clones are the same handle, and there is one for each state directory: whoever opens the directory again, or asks
/// for it by [`at`](Self::at), gets it. It lives until [`shut_down`](Self::shut_down), or to the end of the program.
#[derive(Clone, Debug)]
pub struct Longhaul {
    open: Arc<OpenManager>,
}

#[derive(Debug)]
struct OpenManager {
    place: PathBuf,
    engine: Engine,
    /// Keep other managers away; gone after the end, whoever has a clone.
    held: Mutex<Option<(ManagerLock, Option<File>)>>,
}

type Slot = Arc<OnceCell<Longhaul>>;

/// Every handle of this program, by state directory.
static HANDLES: Mutex<BTreeMap<PathBuf, Slot>> = Mutex::new(BTreeMap::new());

impl Longhaul {
    /// Begins to put one together.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The handle of a state directory, if this program has opened it.
    #[must_use]
    pub fn at(state_dir: &Path) -> Option<Self> {
        let place = std::fs::canonicalize(state_dir).ok()?;
        handles().get(&place)?.get().cloned()
    }

    /// The engine: launches, looks, waits, tells.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.open.engine
    }

    /// Its state directory.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.open.place
    }

    /// Ends it in good order. The state directory may be opened again then; clones of the handle answer nothing new.
    ///
    /// # Errors
    /// [`ProgramError::Engine`] if the store cannot be read or left. It is ended all the same.
    pub async fn shut_down(&self, how: Shutdown) -> Result<(), ProgramError> {
        let ended = self.open.engine.shut_down(how).await;
        self.forget();
        ended.map_err(|source| ProgramError::Engine { source })
    }

    /// Ends the handle of a state directory at once, if there is one, as a crash would: what runs goes on, and is found
    /// again by the next handle. For tests, each of which has a runtime of its own.
    pub fn reset(state_dir: &Path) {
        if let Some(handle) = Self::at(state_dir) {
            handle.forget();
        }
    }

    pub(crate) async fn open(builder: Builder) -> Result<Self, ProgramError> {
        let path = match builder.state_dir.clone() {
            Some(path) => std::path::absolute(path)
                .map_err(|source| ProgramError::System { tried: "find its state directory", source })?,
            None => dispatch::state_dir(None)?,
        };
        let state = StateDir::prepare(&path)?;
        let place = std::fs::canonicalize(&path)
            .map_err(|source| ProgramError::System { tried: "find its state directory", source })?;
        let slot = handles().entry(place.clone()).or_default().clone();
        // Whoever comes second waits for the first; after a failure it tries by itself.
        let opened = slot.get_or_try_init(|| begin(builder, state, place)).await;
        opened.cloned()
    }

    fn forget(&self) {
        let OpenManager { place, engine, held } = self.open.as_ref();
        engine.abandon();
        handles().remove(place);
        drop(held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

async fn begin(builder: Builder, state: StateDir, place: PathBuf) -> Result<Longhaul, ProgramError> {
    let Builder { flags, sources, stores, .. } = builder;
    let layers = sources.unwrap_or_else(|| ConfigSources::of(state.path(), flags)).read()?;
    let settings = ManagerConfig::knowing(&layers, state.path(), &stores)?;
    // It may wait for a manager that is ending, and blocks its thread then.
    let taking = tokio::task::spawn_blocking(move || (ManagerLock::take(&state), state));
    let (taken, state) = taking.await.map_err(|gone| ProgramError::System {
        tried: "take its lock",
        source: std::io::Error::other(gone),
    })?;
    let lock = taken?;
    // Children of the program that are none of ours are its own business.
    let around = HostContext { stores, adopt_orphans: false, open_files: None };
    let foothold = StateDirGuard::of(&state, &lock)
        .map_err(|source| ProgramError::System { tried: "look at its lock", source })?;
    let ComposedParts { mut parts, node, sole_user, mark } = compose(&state, &settings, &around).await?;
    parts.store = Arc::new(CheckedStore::new(parts.store, foothold.clone(), mark));
    let engine = Engine::start(parts, engine_settings(EngineAddress::default(), &settings, node)).await;
    let engine = engine.map_err(ProgramError::of_start)?;
    let opened =
        Longhaul { open: Arc::new(OpenManager { place, engine, held: Mutex::new(Some((lock, sole_user))) }) };
    let watched = opened.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = watched.engine().over() => {}
            () = watched.engine().replaced() => watched.forget(),
            () = foothold.lost() => {
                tracing::error!(
                    state_dir = %watched.state_dir().display(),
                    "the state directory was removed, moved or replaced: the handle acknowledges nothing more"
                );
                watched.forget();
            }
        }
    });
    Ok(opened)
}

fn handles() -> MutexGuard<'static, BTreeMap<PathBuf, Slot>> {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}
