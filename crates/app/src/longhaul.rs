//! The handle to a longhaul that is embedded in a program.

use crate::builder::Builder;
use crate::compose::{ComposedParts, HostContext, compose};
use crate::config::{ConfigSources, ManagerConfig};
use crate::failure::ProgramError;
use crate::lock::ManagerLock;
use crate::serve::{EngineAddress, engine_settings};
use crate::state_dir_guard::{CheckedStore, StateDirGuard};
use longhaul_client::StateDir;
use longhaul_engine::{Engine, Shutdown};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// The handle to a longhaul that is embedded in this program: an engine with its store and its processes.
///
/// There is one embedded longhaul for each state directory. All handles of a state directory refer to the same embedded
/// longhaul: clones, handles from a second [`Builder::open`], and handles from [`at`](Self::at). It runs until
/// [`shut_down`](Self::shut_down) or until the program exits.
#[derive(Clone, Debug)]
pub struct Longhaul {
    open: Arc<OpenManager>,
}

#[derive(Debug)]
struct OpenManager {
    place: PathBuf,
    engine: Engine,
    /// Locks that keep other managers from using the state directory and the store. They are removed and released at
    /// shutdown, even if clones of the handle still exist.
    held: Mutex<Option<(ManagerLock, Option<File>)>>,
}

type Slot = Arc<OnceCell<Longhaul>>;

/// All handles in this program, by state directory.
static HANDLES: Mutex<BTreeMap<PathBuf, Slot>> = Mutex::new(BTreeMap::new());

impl Longhaul {
    /// Returns a builder with default settings, which opens an embedded longhaul.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the handle for a state directory. Returns `None` if this program has not opened the directory.
    #[must_use]
    pub fn at(state_dir: &Path) -> Option<Self> {
        let place = std::fs::canonicalize(state_dir).ok()?;
        handles().get(&place)?.get().cloned()
    }

    /// Returns the engine, which starts, changes, inspects and observes processes.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.open.engine
    }

    /// Returns the path of the state directory.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.open.place
    }

    /// Shuts the embedded longhaul down cleanly. The state directory can then be opened again. Clones of the old handle
    /// no longer work.
    ///
    /// # Errors
    /// [`ProgramError::Engine`] if the store cannot be read, or if this node cannot leave the store. The embedded
    /// instance is shut down even then.
    pub async fn shut_down(&self, how: Shutdown) -> Result<(), ProgramError> {
        let ended = self.open.engine.shut_down(how).await;
        self.forget();
        ended.map_err(|source| ProgramError::Engine { source })
    }

    /// Stops the embedded longhaul of a state directory immediately, as if the program had crashed. Does nothing if
    /// none is open. Its processes keep running, and the next handle for the directory adopts them. Intended for tests
    /// that each have their own runtime.
    pub fn reset(state_dir: &Path) {
        if let Some(handle) = Self::at(state_dir) {
            handle.forget();
        }
    }

    pub(crate) async fn open(builder: Builder) -> Result<Self, ProgramError> {
        let path = match builder.state_dir.clone() {
            Some(path) => std::path::absolute(path)
                .map_err(|source| ProgramError::System { tried: "find the state directory", source })?,
            None => longhaul_client::state_dir(None)?,
        };
        let state = StateDir::prepare(&path)?;
        let place = std::fs::canonicalize(&path)
            .map_err(|source| ProgramError::System { tried: "find the state directory", source })?;
        let slot = handles().entry(place.clone()).or_default().clone();
        // If two callers open the same directory, the second caller waits for the first. If the first caller fails, the
        // second caller tries to open the directory itself.
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
    // The call may wait for a manager that is exiting, and the wait blocks the thread. Therefore the call runs on a
    // blocking thread.
    let taking = tokio::task::spawn_blocking(move || (ManagerLock::take(&state), state));
    let (taken, state) = taking.await.map_err(|gone| ProgramError::System {
        tried: "acquire the lock on the state directory",
        source: std::io::Error::other(gone),
    })?;
    let lock = taken?;
    // The embedding program manages its own child processes, so the engine must not reap them.
    let around = HostContext { stores, adopt_orphans: false, open_files: None };
    let guard = StateDirGuard::of(&state, &lock).map_err(|source| ProgramError::System {
        tried: "inspect the lock on the state directory",
        source,
    })?;
    let ComposedParts { mut parts, node, sole_user, mark, test_runs } =
        compose(&state, &settings, &around).await?;
    parts.store = Arc::new(CheckedStore::new(parts.store, guard.clone(), mark));
    let engine =
        Engine::start(parts, engine_settings(EngineAddress::default(), &settings, node, test_runs)).await;
    let engine = engine.map_err(ProgramError::of_start)?;
    let opened =
        Longhaul { open: Arc::new(OpenManager { place, engine, held: Mutex::new(Some((lock, sole_user))) }) };
    let watched = opened.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = watched.engine().over() => {}
            () = watched.engine().replaced() => watched.forget(),
            () = guard.lost() => {
                tracing::error!(
                    state_dir = %watched.state_dir().display(),
                    "the state directory was removed, moved or replaced; no further writes are acknowledged"
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
