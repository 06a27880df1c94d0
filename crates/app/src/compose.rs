//! Composition of an engine: chooses and opens the adapter behind each port.

pub(crate) mod host_check;
mod notifications;
mod peer_transport;
pub(crate) mod redis_check;
pub(crate) mod shared;
pub(crate) mod trust;
mod url_hints;

pub(crate) use notifications::start_notifications;
pub(crate) use peer_transport::{address, peer_gate, peers};

use crate::binding::{StoreBinding, UnusableFile};
use crate::config::{ContainmentSetting, ManagerConfig, StoreChoice};
use crate::enclosing_shim::ATTEMPTS;
use crate::failure::causes;
use crate::last_store::{self, StoreMismatch};
use crate::location::{CopiedStateDir, Location};
use crate::previous_node::PreviousNodeName;
use crate::shim;
use crate::state_dir::StateDir;
use crate::store_mark::{MissingRecords, StoreMark};
use crate::stores::{Stores, unknown};
use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::os::{ContainmentChoice, OsOptions, OsOutput, OsProber, OsSpawner};
use longhaul_adapters::peers::TrustError;
use longhaul_adapters::signing::KeyFileError;
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_adapters::system::{FileEnvironmentStore, RandomIds, SystemClock};
use longhaul_cli::shell_word;
use longhaul_domain::{NodeId, ProcessId};
use longhaul_engine::EnginePorts;
use longhaul_engine::ports::{Clock, EventCursor, Migrate, NodeDescriptor, Store, StoreError};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The opened parts of an engine, and the description of its node.
#[derive(Debug)]
pub(crate) struct ComposedParts {
    pub(crate) parts: EnginePorts,
    /// Properties with which the node registers in the store.
    pub(crate) node: NodeDescriptor,
    /// Lock that keeps other managers from using the store until it is dropped. `None` if the store needs no such lock.
    pub(crate) sole_user: Option<File>,
    /// Mark that detects lost records of the store. `None` if the store has no mark.
    pub(crate) mark: Option<StoreMark>,
}

/// Reason why a part of an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The store cannot be opened.
    #[error("the store {store} cannot be opened")]
    Store {
        /// Name of the store.
        store: String,
        /// Underlying error that caused this error.
        #[source]
        source: StoreError,
    },
    /// The store lacks records that it had before.
    #[error(transparent)]
    LostRecords(Box<MissingRecords>),
    /// The state directory is a copy of another one.
    #[error(transparent)]
    Copied(#[from] CopiedStateDir),
    /// The store has live processes that another state directory started.
    #[error("the store {store} contains unfinished processes of another state directory")]
    Foreign {
        /// Name of the store.
        store: String,
        /// Id of one of the live processes.
        live: ProcessId,
        /// State directory that started the process. `None` if the store does not record it.
        state_dir: Option<PathBuf>,
    },
    /// The state directory has running attempts that this store has no records of, because it was served with another
    /// store.
    #[error("this state directory has running processes that have no records in the store {store}")]
    OtherStore {
        /// Name of the configured store.
        store: String,
        /// Name of the store with which the directory was served last.
        last: String,
        /// Id of one of the processes with a running attempt, if there is one.
        live: Option<ProcessId>,
    },
    /// Unfinished processes of this state directory belong to its previous node name.
    #[error("this state directory cannot change its node name from {last} to {node}: {} not ended", have(*open))]
    OtherNode {
        /// Configured name of the node.
        node: NodeId,
        /// Name under which the directory was served last.
        last: NodeId,
        /// Id of one of the unfinished processes.
        first: ProcessId,
        /// Number of processes with a running attempt in this directory.
        live: usize,
        /// Number of all unfinished processes, including waiting ones.
        open: usize,
    },
    /// The binding of the store, or another small file that a start needs, cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Binding {
        /// Path of the file that cannot be used.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// A directory is at the path of the store's binding, or of another small file that a start needs.
    #[error("{} is a directory instead of a file", path.display())]
    NoFile {
        /// Path of the directory that is in the way.
        path: PathBuf,
    },
    /// The cluster key, with which launches are signed, cannot be used.
    #[error("the cluster key cannot be used")]
    ClusterKey {
        /// Underlying error that caused this error.
        #[source]
        source: KeyFileError,
    },
    /// The other nodes of the store use a different cluster key.
    #[error("the nodes of the store {store} have the cluster key {theirs}, and this one has {}", ours.as_deref().unwrap_or("none"))]
    OtherKey {
        /// Name of the store.
        store: String,
        /// Id of the key that the other nodes use.
        theirs: String,
        /// Id of the key of this node. `None` if this node has no key.
        ours: Option<String>,
        /// Path of the key file of this node, which may be missing.
        path: PathBuf,
    },
    /// The path of the cluster key is not known.
    #[error("the path of the cluster key file is unknown")]
    NoKeyPlace,
    /// The file in `node.peer_ca_file` cannot be used.
    #[error("the CA file of node.peer_ca_file cannot be used")]
    PeerAuthorities {
        /// Underlying error that caused this error.
        #[source]
        source: TrustError,
    },
    /// The clock, the environment store, the output log, the spawner or the shim cannot be opened.
    #[error("the {part} cannot be opened")]
    Part {
        /// Name of the part of the engine that cannot be opened.
        part: &'static str,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
}

/// Inputs of a composition in addition to the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostContext {
    /// Kinds of store that the program added.
    pub(crate) stores: Stores,
    /// True if this program adopts and reaps orphaned descendants of commands. A manager does; an embedded engine does
    /// not, because the embedding program reaps its own children.
    pub(crate) adopt_orphans: bool,
    /// Soft limit of open files for commands.
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
        // A failed write, such as on a full disk, must not prevent the start.
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
        // A failed write, such as on a full disk, must not prevent the start.
        tracing::warn!("{error}: {}", error.source);
    }
    if let Some(former) = PreviousNodeName::found(state, &settings.node) {
        former.check(state, &settings.store, store.as_ref(), &settings.node).await?;
    }
    let notary = trust::notary(settings, store.as_ref()).await?;
    let parts = EnginePorts {
        store,
        prober: Arc::new(prober(&spawner, settings)),
        spawner: Arc::new(spawner),
        signer: notary,
        output: Arc::new(output(attempts_dir).map_err(failed("output"))?),
        environments: Arc::new(FileEnvironmentStore::open(state.path()).map_err(failed("vault"))?),
        clock,
        ids: Arc::new(IDS),
    };
    Ok(ComposedParts { parts, node, sole_user, mark })
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
        // The store of files has its own lock against other managers.
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

/// Returns an empty store in memory.
#[cfg(test)]
pub(crate) fn empty_store(clock: &Arc<dyn Clock>) -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(clock.clone()))
}

/// Locks a database for this manager. A manager of another state directory would take over the node, find none of its
/// attempts, and mark all of them as interrupted. The lock is of another kind than SQLite's own locks and does not
/// interfere with them.
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

/// Returns the cursor of the newest event in a local store that no program uses. Returns `None` if the store has no
/// files on this machine or does not exist yet.
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

/// Opens a store for a copy. Returns `None` if the store is in use, is in memory, or was added by the program.
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

/// Size in bytes to which a database in use may truncate its write-ahead log.
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

/// Returns a number of processes with the matching form of "to have", for an error message.
pub(crate) fn have(open: usize) -> String {
    if open == 1 { "1 process has".to_owned() } else { format!("{open} processes have") }
}

impl From<MissingRecords> for ComposeError {
    fn from(lost: MissingRecords) -> Self {
        Self::LostRecords(Box::new(lost))
    }
}

impl From<UnusableFile> for ComposeError {
    fn from(error: UnusableFile) -> Self {
        if error.is_directory() {
            return Self::NoFile { path: error.path };
        }
        Self::Binding { path: error.path, source: error.source }
    }
}

impl ComposeError {
    /// Returns the reason for the error.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        match self {
            Self::LostRecords(lost) => Some(lost.why()),
            Self::Copied(copied) => Some(copied.why()),
            Self::Foreign { live, state_dir, .. } => {
                let place = state_dir.as_ref().map_or_else(
                    || "an unknown state directory".to_owned(),
                    |path| path.display().to_string(),
                );
                Some(format!(
                    "the process {live} has not ended and was started from {place}; a manager of this state \
                     directory could not find the process and would mark it as interrupted"
                ))
            }
            Self::OtherStore { last, live, .. } if *last == StoreChoice::Memory.to_string() => {
                let what = live.map_or_else(|| "a process".to_owned(), |live| format!("the process {live}"));
                Some(format!(
                    "{what} is running, but its record was in the memory of the previous manager and is \
                              lost"
                ))
            }
            Self::OtherStore { last, live, .. } => {
                let what = live.map_or_else(|| "a process".to_owned(), |live| format!("the process {live}"));
                Some(format!(
                    "{what} is running, but its record is in {last}, the previous store of this state directory"
                ))
            }
            Self::OtherNode { last, first, live, open, .. } => Some(format!(
                "unfinished processes: {open}, of which running: {live}, first: {first}; under another node name \
                 the manager would stop the running processes, and processes that wait for node {last} would never \
                 start"
            )),
            Self::NoFile { .. } => Some("a manager needs a file at this path".to_owned()),
            Self::OtherKey { .. } => Some(
                "launches are signed with the cluster key, so nodes with different keys refuse each other's \
                      launches"
                    .to_owned(),
            ),
            Self::NoKeyPlace => Some("neither XDG_CONFIG_HOME nor HOME contains an absolute path".to_owned()),
            // A shared store that answers with an error was reached, so the outer error adds nothing to its causes.
            Self::Store { store, source: error @ StoreError::Unavailable { .. } } if shared::knows(store) => {
                causes(error)
            }
            Self::Store { .. }
            | Self::Binding { .. }
            | Self::ClusterKey { .. }
            | Self::PeerAuthorities { .. }
            | Self::Part { .. } => causes(self),
        }
    }

    /// Returns advice for the user on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Store { source: StoreError::Corrupt { remedy, .. }, .. } => Some(remedy.clone()),
            Self::Store { source: error @ (StoreError::Format { .. } | StoreError::NewerRecord { .. }), .. } => {
                error.format_help().map(str::to_owned)
            }
            Self::Store { store, source: error @ StoreError::Unavailable { .. } } if shared::knows(store) => {
                if let Some(help) = shared::allowing(store, error) {
                    return Some(help);
                }
                if let Some(help) = causes(error).and_then(|why| url_hints::advice(store, &why)) {
                    return Some(help.to_owned());
                }
                Some("check the server with `longhaul doctor`; find the setting that names the server with \
                      `longhaul config show --origin`".to_owned())
            }
            Self::Store { source: StoreError::Unavailable { .. }, .. } => {
                Some("use a store with only one state directory on a machine; `longhaul config show --origin` shows \
                      which store is configured".to_owned())
            }
            Self::Store { .. } => None,
            Self::LostRecords(lost) => Some(lost.help()),
            Self::Copied(copied) => Some(copied.help()),
            Self::Foreign { state_dir, .. } => {
                let that = match state_dir {
                    Some(path) => {
                        format!("use that state directory: LONGHAUL_STATE_DIR={}", shell_word(&path.to_string_lossy()))
                    }
                    None => "use the state directory that started the process".to_owned(),
                };
                Some(format!("{that}; if that directory no longer exists, run `longhaul store adopt`"))
            }
            Self::OtherStore { store, last, .. } => {
                let memory = StoreChoice::Memory.to_string();
                let adopt = "run `longhaul store adopt` (running processes continue, but no manager shows or stops \
                             them)";
                Some(if *last == memory {
                    format!("wait until the process has ended, or abandon it: {adopt}")
                } else if *store == memory {
                    format!("use the store {last} until the process has ended; if {last} no longer exists: {adopt}")
                } else {
                    format!(
                        "use the store {last} until the process has ended; or copy its records, if the new store \
                         does not exist yet: `longhaul store copy {} {}`; if {last} no longer exists: {adopt}",
                        shell_word(last),
                        shell_word(store)
                    )
                })
            }
            Self::OtherNode { last, .. } => Some(format!(
                "start with node.id = \"{last}\", or without node.id, until the processes have ended or are \
                 cancelled; then change the name"
            )),
            Self::NoFile { .. } => Some("move the directory to another path".to_owned()),
            Self::Binding { .. } => Some("make sure that you can read and write the file".to_owned()),
            Self::ClusterKey { source } => Some(source.help()),
            Self::OtherKey { path, .. } => Some(format!(
                "copy the key file from another node to {}, with mode 0600; `longhaul store key` on that node shows \
                 the path of its file",
                path.display()
            )),
            Self::NoKeyPlace => Some("set the path in the configuration: cluster_key = \"/path/of/cluster.key\"".to_owned()),
            Self::PeerAuthorities { .. } => Some(
                "set node.peer_ca_file to a PEM file with CA certificates, or remove the setting to use the CA \
                 certificates of this machine".to_owned(),
            ),
            Self::Part { .. } => {
                Some("make sure that you own everything in the state directory and can read and write it".to_owned())
            }
        }
    }
}
