//! Composition of an engine: selects and opens the adapter for each port.

pub(crate) mod cluster_key;
mod error;
pub(crate) mod host_check;
pub(crate) mod key_check;
mod notifications;
mod peer_transport;
pub(crate) mod postgres;
#[cfg(feature = "postgres")]
pub(crate) mod postgres_check;
pub(crate) mod redis_check;
pub(crate) mod shared;
pub(crate) mod trust;
mod url_hints;

pub use error::ComposeError;
pub(crate) use notifications::start_notifications;
pub(crate) use peer_transport::{address, peer_gate, peers};

use crate::binding::StoreBinding;
use crate::config::{ContainmentSetting, ManagerConfig, StoreChoice};
use crate::enclosing_shim::ATTEMPTS;
use crate::last_store::{self, StoreMismatch};
use crate::location::Location;
use crate::previous_node::PreviousNodeName;
use crate::pytest_plugin;
use crate::shim;
use crate::store_mark::StoreMark;
use crate::stores::{Stores, unknown};
use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::os::{
    ContainmentChoice, OsArtifacts, OsOptions, OsOutput, OsProber, OsSpawner, OsTestFiles,
};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_adapters::system::{FileEnvironmentStore, RandomIds, SystemClock};
use longhaul_client::StateDir;
use longhaul_engine::ports::{Clock, EventCursor, Migrate, NodeDescriptor, Store, StoreError};
use longhaul_engine::{EnginePorts, TestRunSettings};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The opened parts of an engine, and the description of its node.
#[derive(Debug)]
pub(crate) struct ComposedParts {
    pub(crate) parts: EnginePorts,
    /// Properties of this node that it registers in the store.
    pub(crate) node: NodeDescriptor,
    /// Lock that keeps other managers from using the store. Dropping the lock releases it. `None` if the store needs no
    /// lock.
    pub(crate) sole_user: Option<File>,
    /// Mark by which lost records of the store are detected. `None` if the store has no mark.
    pub(crate) mark: Option<StoreMark>,
    /// Settings of test runs.
    pub(crate) test_runs: TestRunSettings,
}

/// Inputs of the composition, in addition to the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostContext {
    /// Kinds of store that the program added.
    pub(crate) stores: Stores,
    /// True if this program adopts and reaps orphaned descendants of commands. This is true for a manager. It is false
    /// for an embedded engine, because the embedding program reaps its own children.
    pub(crate) adopt_orphans: bool,
    /// Soft limit on open files that commands get.
    pub(crate) open_files: Option<u64>,
}

/// Opens all parts of an engine. The caller must be inside a Tokio runtime.
pub(crate) async fn compose(
    state: &StateDir,
    settings: &ManagerConfig,
    around: &HostContext,
) -> Result<ComposedParts, ComposeError> {
    let failed = |part| move |source| ComposeError::Part { part, source };
    if let Err(error) = Location::check(state)? {
        // A failed write (such as on a full disk) must not prevent the start of the engine.
        tracing::warn!("{error}: {}", error.source);
    }
    let clock = SystemClock::open(state.path()).map_err(failed("clock"))?;
    let node = NodeDescriptor {
        id: settings.node.clone(),
        home: Some(StoreBinding::home_of(state)?),
        boot: clock.boot_id().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let attempts_dir = state.path().join(ATTEMPTS);
    let spawner = OsSpawner::open(OsOptions {
        attempts_dir: attempts_dir.clone(),
        shim: shim::find(settings.shim.as_deref()).map_err(failed("shim"))?,
        anchor_ms: clock.anchor_ms(),
        boot_id: node.boot.clone(),
        containment: containment(settings.containment),
        adopt_orphans: around.adopt_orphans,
        open_files: around.open_files,
    })
    .map_err(failed("spawner"))?;
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let elsewhere = StoreMismatch::found(state, &settings.store);
    if let Some(elsewhere) = &elsewhere {
        elsewhere.check_founded(&settings.store).await?;
    }
    let mark = StoreMark::of(state, &settings.store);
    if let Some(mark) = &mark {
        mark.check_unopened(state, &settings.store)?;
    }
    let (store, sole_user) = store(&settings.store, state, &clock, &around.stores, &node).await?;
    if let Some(mark) = &mark {
        mark.check_opened(state, &settings.store, store.as_ref()).await?;
    }
    if let Some(elsewhere) = &elsewhere {
        elsewhere.check_known(&settings.store, store.as_ref()).await?;
    }
    StoreBinding::check(state, &settings.store, store.as_ref(), &settings.node).await?;
    let marked = mark.as_ref().map_or(Ok(()), StoreMark::begin);
    if let Err(error) = marked.and_then(|()| last_store::note(state, &settings.store)) {
        // A failed write (such as on a full disk) must not prevent the start of the engine.
        tracing::warn!("{error}: {}", error.source);
    }
    if let Some(former) = PreviousNodeName::found(state, &settings.node) {
        former.check(state, &settings.store, store.as_ref(), &settings.node).await?;
    }
    let signer = trust::signer(settings, store.as_ref()).await?;
    let test_runs = TestRunSettings {
        files: Arc::new(OsTestFiles::open(&attempts_dir).map_err(failed("test files"))?),
        plugin_directory: pytest_plugin::install(state),
    };
    let parts = EnginePorts {
        store,
        prober: Arc::new(prober(&spawner, settings)),
        spawner: Arc::new(spawner),
        signer,
        artifacts: Arc::new(OsArtifacts::open(&attempts_dir).map_err(failed("artifacts"))?),
        output: Arc::new(output(attempts_dir).map_err(failed("output"))?),
        environments: Arc::new(FileEnvironmentStore::open(state.path()).map_err(failed("environments"))?),
        clock,
        ids: Arc::new(IDS),
    };
    Ok(ComposedParts { parts, node, sole_user, mark, test_runs })
}

fn prober(spawner: &OsSpawner, settings: &ManagerConfig) -> OsProber {
    let prober = spawner.prober();
    if settings.ready_beyond_loopback { prober.reach_beyond_loopback() } else { prober }
}

fn output(attempts_dir: PathBuf) -> io::Result<OsOutput> {
    OsOutput::open(&attempts_dir)
}

async fn store(
    choice: &StoreChoice,
    state: &StateDir,
    clock: &Arc<dyn Clock>,
    others: &Stores,
    node: &NodeDescriptor,
) -> Result<(Arc<dyn Store>, Option<File>), ComposeError> {
    let failed = |source| ComposeError::Store { store: choice.to_string(), source };
    match choice {
        StoreChoice::Memory => Ok((Arc::new(MemoryStore::new(clock.clone())), None)),
        StoreChoice::Sqlite(path) => {
            let store = sqlite(path, clock).map_err(failed)?;
            Ok((Arc::new(store), Some(sole_user(choice, path).map_err(failed)?)))
        }
        // The file store has its own lock that keeps other managers out.
        StoreChoice::Fs(path) => Ok((Arc::new(files(path, clock).map_err(failed)?), None)),
        StoreChoice::Other(url) if shared::knows(url) => {
            let store = shared::opened_by_node(choice, url, state.path(), clock).await;
            Ok((store.map_err(failed)?, None))
        }
        StoreChoice::Other(url) => match others.open(url, clock, node.home.clone()).await {
            Some(opened) => Ok((opened.map_err(failed)?, None)),
            None => {
                let source = unknown(url).into();
                Err(failed(StoreError::Unavailable { source }))
            }
        },
    }
}

/// Returns an empty in-memory store.
#[cfg(test)]
pub(crate) fn empty_store(clock: &Arc<dyn Clock>) -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(clock.clone()))
}

/// Locks a database for this manager. Without the lock, a manager of another state directory could take over the node.
/// That manager would find none of the node's attempts and mark all of them as interrupted. The lock has another type
/// than the locks of SQLite and does not interfere with them.
fn sole_user(choice: &StoreChoice, path: &Path) -> Result<File, StoreError> {
    let refused = |source: io::Error| StoreError::Unavailable { source: Box::new(source) };
    let file = File::open(path).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let source = format!("{} is in use by {}", path.display(), StoreBinding::user(choice)).into();
            Err(StoreError::Unavailable { source })
        }
        Err(TryLockError::Error(error)) => Err(refused(error)),
    }
}

fn sqlite(path: &Path, clock: &Arc<dyn Clock>) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, clock.clone(), SqliteOptions::default())
}

fn files(path: &Path, clock: &Arc<dyn Clock>) -> Result<FsStore, StoreError> {
    FsStore::open(path, clock.clone(), FsOptions::default())
}

/// Returns the cursor of the newest event in a local store. No program may be using the store. Returns `None` if the
/// store has no files on this machine or does not exist yet.
pub(crate) fn end_of(choice: &StoreChoice) -> Result<Option<EventCursor>, StoreError> {
    match choice {
        StoreChoice::Memory | StoreChoice::Other(_) => Ok(None),
        StoreChoice::Sqlite(path) => SqliteStore::end_of(path),
        StoreChoice::Fs(path) => FsStore::end_of(path),
    }
}

/// A store whose content can be copied to another store.
pub(crate) trait CopyableStore: Store + Migrate {}

impl<T: Store + Migrate> CopyableStore for T {}

/// Opens a store for copying. Returns `None` if the store is in use, is in memory, or is of a kind that the program
/// added.
///
/// The caller must prevent other access to a local store. A shared store counts as in use while a node has a valid
/// lease, but a node may still register during the copy.
pub(crate) async fn movable(
    choice: &StoreChoice,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Box<dyn CopyableStore>>, StoreError> {
    match choice {
        StoreChoice::Memory => Ok(None),
        StoreChoice::Other(url) if shared::knows(url) => shared::movable(url).await,
        StoreChoice::Other(_) => Ok(None),
        StoreChoice::Sqlite(path) if SqliteStore::is_used(path) => Ok(None),
        StoreChoice::Sqlite(path) => Ok(Some(Box::new(sqlite(path, clock)?))),
        StoreChoice::Fs(path) => Ok(Some(Box::new(files(path, clock)?))),
    }
}

/// Opens the clock of a state directory.
pub(crate) fn clock(state: &StateDir) -> Result<Arc<dyn Clock>, ComposeError> {
    let clock = SystemClock::open(state.path());
    Ok(Arc::new(clock.map_err(|source| ComposeError::Part { part: "clock", source })?))
}

/// Size in bytes to which a database may truncate its write-ahead log while the database is in use.
pub(crate) const MAX_WAL_BYTES: u64 = SqliteStore::MAX_WAL_BYTES;

/// Generator of random ids.
pub(crate) const IDS: RandomIds = RandomIds;

const fn containment(choice: ContainmentSetting) -> ContainmentChoice {
    match choice {
        ContainmentSetting::Auto => ContainmentChoice::Auto,
        ContainmentSetting::Cgroup => ContainmentChoice::Cgroup,
        ContainmentSetting::Subreaper => ContainmentChoice::Subreaper,
        ContainmentSetting::Group => ContainmentChoice::Group,
    }
}

/// Returns a number of processes with the matching form of "to have" ("1 process has"), for an error message.
pub(crate) fn have(open: usize) -> String {
    if open == 1 { "1 process has".to_owned() } else { format!("{open} processes have") }
}
