//! Errors that occur when the parts of an engine are opened.

use super::{have, shared, url_hints};
use crate::binding::UnusableFile;
use crate::config::StoreChoice;
use crate::failure::causes;
use crate::location::CopiedStateDir;
use crate::store_mark::MissingRecords;
use longhaul_adapters::peers::TrustError;
use longhaul_adapters::signing::KeyFileError;
use longhaul_cli::shell_word;
use longhaul_domain::{NodeId, ProcessId};
use longhaul_engine::ports::StoreError;
use std::io;
use std::path::PathBuf;

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
    /// The state directory is a copy of another state directory.
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
    /// The state directory has running attempts that this store has no records of, because the directory was last
    /// served with another store.
    #[error("this state directory has running processes that have no records in the store {store}")]
    OtherStore {
        /// Name of the configured store.
        store: String,
        /// Name of the store with which the directory was served last.
        last: String,
        /// Id of one of the processes with a running attempt. `None` if no process with a running attempt is known.
        live: Option<ProcessId>,
    },
    /// The state directory has unfinished processes that belong to its previous node name.
    #[error("the node name of this state directory cannot change from {last} to {node}, because {} not ended \
             yet", have(*open))]
    OtherNode {
        /// Configured name of the node.
        node: NodeId,
        /// Node name with which the directory was served last.
        last: NodeId,
        /// Id of one of the unfinished processes.
        first: ProcessId,
        /// Number of processes with a running attempt in this directory.
        live: usize,
        /// Number of all unfinished processes, including waiting ones.
        open: usize,
    },
    /// The binding of the store, or another small file that is needed to start, cannot be read or written.
    #[error("the file {} cannot be used", path.display())]
    Binding {
        /// Path of the file that cannot be used.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// There is a directory at the path of the store's binding file, or at the path of another small file that is
    /// needed to start.
    #[error("{} is a directory instead of a file", path.display())]
    NoFile {
        /// Path of the directory that is in place of the file.
        path: PathBuf,
    },
    /// The cluster key, which signs launches, cannot be used.
    #[error("the cluster key cannot be used")]
    ClusterKey {
        /// Underlying error that caused this error.
        #[source]
        source: KeyFileError,
    },
    /// The other nodes that share the store use a different cluster key.
    #[error("the nodes of the store {store} use the cluster key {theirs}, but this node uses {}", ours.as_deref().unwrap_or("none"))]
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
    /// The path of the cluster key file is not known.
    #[error("the path of the cluster key file is unknown")]
    NoKeyPlace,
    /// The CA certificate file in the setting `node.peer_ca_file` cannot be used.
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
            // The shared store responded with an error, so it was reached. The outer error says that the store is
            // unavailable and is therefore left out.
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
