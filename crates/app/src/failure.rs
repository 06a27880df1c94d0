//! Errors of the program, with their reasons and with advice.

use crate::compose::{ComposeError, have};
use crate::config::ConfigError;
use crate::init::InitError;
use crate::lock::LockError;
use crate::private_file::PrivateError;
use crate::serve::ListenError;
use crate::store_copy::CopyError;
use longhaul_cli::clean_json;
use longhaul_client::{LookupError, START_BYTES, StateDir, StateDirError, full_disk_problem};
use longhaul_domain::NodeId;
use longhaul_engine::EngineError;
use longhaul_engine::ports::StoreRejection;
use longhaul_wire::api::Problem;
use serde_json::Value;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Exit code of a manager that lost its state directory, its store or its node name.
const STATE_DIR_LOST: u8 = 8;

/// Reason why a command of the program failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No state directory was found.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A private file, such as a token file, cannot be used.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The manager cannot listen on the configured network addresses.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The lock on the state directory cannot be acquired, usually because another manager holds the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log file cannot be written.
    #[error("the log {} cannot be written", path.display())]
    Log {
        /// Path of the log file.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// A step that needs the operating system failed.
    #[error("longhaul could not {tried}")]
    System {
        /// Description of the failed step, such as "start the async runtime".
        tried: &'static str,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// A part of the engine could not be opened.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The engine failed while it was starting or shutting down.
    #[error("the engine failed")]
    Engine {
        /// Underlying error that caused this error.
        #[source]
        source: EngineError,
    },
    /// A manager of another state directory currently uses the name of this node.
    #[error("the node name {node} is in use by the state directory {home}, which renewed its lease {} ms ago", heard.as_millis())]
    NameTaken {
        /// Name of the node.
        node: NodeId,
        /// Path of the other state directory.
        home: String,
        /// Time since the last lease renewal of the other manager.
        heard: Duration,
    },
    /// Another state directory used the name of this node, and processes of that state directory have not ended.
    #[error("the node name {node} belongs to another state directory, {home}, where {} not ended yet", have_many(*open))]
    NameHeld {
        /// Name of the node.
        node: NodeId,
        /// Path of the other state directory.
        home: String,
        /// Number of processes that have not ended.
        open: u64,
        /// Time until these processes are considered lost and the node name becomes free. `None` if that never happens.
        free_in: Option<Duration>,
    },
    /// Another manager joined the cluster with the name of this node, after the lease of this node had expired.
    #[error("another manager joined the cluster with the name of this node, {node}")]
    Replaced {
        /// Name of the node.
        node: NodeId,
    },
    /// The manager could not start because the disk is full.
    #[error("the disk of the state directory {} is full", state_dir.display())]
    FullDisk {
        /// Path of the state directory.
        state_dir: PathBuf,
        /// Number of free bytes on the disk.
        free: u64,
        /// Error that the full disk caused. `None` if that error is unknown.
        #[source]
        source: Option<Box<Self>>,
    },
    /// `longhaul init` failed.
    #[error("{what}")]
    Init {
        /// Error message of `longhaul init`.
        what: String,
        /// Reason why `longhaul init` failed.
        why: Option<String>,
        /// Advice for the user on how to resolve the error.
        help: Option<String>,
    },
    /// The state directory was removed, moved or replaced while the manager served it.
    #[error("the state directory {} was removed, moved or replaced while the manager served it", state_dir.display())]
    Displaced {
        /// Path of the state directory.
        state_dir: PathBuf,
    },
    /// The store was removed, moved, replaced or truncated while the manager used it.
    #[error("the store at {} was removed, moved, replaced or truncated while the manager used it", path.display())]
    Unstored {
        /// Path of the store.
        path: PathBuf,
    },
    /// Copying a store failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The manager that responds is incompatible or refuses this user.
    #[error("{}", problem.title)]
    Manager {
        /// Description of the problem, from the client library.
        problem: Box<Problem>,
    },
    /// The store names the cluster key that is to be removed as the key of its nodes.
    #[error("the cluster key {key} cannot be removed, because it is the current key of {store}")]
    KeyNamed {
        /// Id of the cluster key to be removed.
        key: String,
        /// Name of the store.
        store: String,
    },
    /// Unfinished processes were signed with the cluster key that is to be removed.
    #[error("the cluster key {key} is still needed: {} not ended yet and {} signed with this key", have(*open), if *open == 1 { "was" } else { "were" })]
    KeyNeeded {
        /// Id of the cluster key to be removed.
        key: String,
        /// Number of unfinished processes that were signed with the key.
        open: usize,
    },
    /// The arguments name a command of the program `longhaul`.
    #[error("longhauld executes only the commands that maintain the manager; use `longhaul` for others")]
    ClientCommand,
    /// The standard output cannot be written.
    #[error("cannot write to standard output")]
    Output {
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
}

impl ProgramError {
    /// Returns the error `FullDisk` if the disk of the state directory is full. Returns `None` if the disk has free
    /// space.
    pub(crate) fn of_full_disk(state: &StateDir) -> Option<Self> {
        let free = state.free_bytes().ok().filter(|free| *free < START_BYTES)?;
        Some(Self::FullDisk { state_dir: state.path().to_owned(), free, source: None })
    }

    /// Converts the error of an engine that did not start.
    pub(crate) fn of_start(source: EngineError) -> Self {
        if let EngineError::Refused { refusal: StoreRejection::NameTaken { node, home, heard } } = source {
            return Self::NameTaken { node, home: home.place, heard };
        }
        if let EngineError::Refused { refusal: StoreRejection::NameHeld { node, home, open, free_in } } =
            source
        {
            return Self::NameHeld { node, home: home.place, open, free_in };
        }
        Self::Engine { source }
    }

    /// Returns the exit code for the error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Manager { problem } if problem.slug == "not_authorised" => 7,
            Self::Copy(error) => error.exit_code(),
            Self::Config(_)
            | Self::Lookup(_)
            | Self::ClientCommand
            | Self::KeyNamed { .. }
            | Self::KeyNeeded { .. }
            | Self::Compose(ComposeError::PeerAuthorities { .. }) => 2,
            Self::Displaced { .. } | Self::Unstored { .. } | Self::Replaced { .. } => STATE_DIR_LOST,
            Self::Log { .. } | Self::Init { .. } | Self::Output { .. } => 1,
            Self::Manager { .. }
            | Self::StateDir(_)
            | Self::Private(_)
            | Self::Listen(_)
            | Self::Lock(_)
            | Self::System { .. }
            | Self::Compose(_)
            | Self::FullDisk { .. }
            | Self::NameTaken { .. }
            | Self::NameHeld { .. }
            | Self::Engine { .. } => 6,
        }
    }

    /// Returns the error in the form that all interfaces show.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (slug, detail, help) = match self {
            Self::Manager { problem } => return problem.as_ref().clone(),
            Self::Lookup(error) => return error.problem(),
            Self::StateDir(error) => return error.problem(),
            Self::FullDisk { state_dir, free, .. } => {
                return Problem { detail: causes(self), ..full_disk_problem(state_dir, *free) };
            }
            Self::Config(error) => ("invalid_configuration", error.why(), error.help()),
            Self::Private(error) => ("private_file_unusable", error.why(), error.help()),
            Self::Listen(error) => ("cannot_listen", causes(error), error.help()),
            Self::Lock(error) => (error.slug(), Some(error.why()), Some(error.help())),
            Self::Copy(error) => (error.slug(), causes(error), error.help()),
            Self::Compose(error @ ComposeError::LostRecords(_)) => ("store_lost", error.why(), error.help()),
            Self::Compose(error @ ComposeError::Copied(_)) => {
                ("state_dir_copied", error.why(), error.help())
            }
            Self::Compose(error @ ComposeError::Foreign { .. }) => {
                ("store_owned_elsewhere", error.why(), error.help())
            }
            Self::Compose(error @ ComposeError::OtherStore { .. }) => {
                ("store_mismatch", error.why(), error.help())
            }
            Self::Compose(error @ ComposeError::OtherNode { .. }) => {
                ("node_id_mismatch", error.why(), error.help())
            }
            Self::Compose(
                error @ (ComposeError::ClusterKey { .. }
                | ComposeError::OtherKey { .. }
                | ComposeError::NoKeyPlace),
            ) => ("cluster_key_unusable", error.why(), error.help()),
            Self::Compose(error @ ComposeError::PeerAuthorities { .. }) => {
                ("invalid_configuration", error.why(), error.help())
            }
            Self::Compose(error) => ("store_unavailable", error.why(), error.help()),
            Self::Displaced { state_dir } => (
                "state_dir_lost",
                Some("another manager may already serve this path; this manager has acknowledged no writes \
                      since the loss".to_owned()),
                Some(format!(
                    "running processes continue; if the directory was moved, start its manager again with `longhaul \
                     --state-dir DIR serve` at the new path instead of {}",
                    state_dir.display()
                )),
            ),
            Self::Unstored { path } => (
                "state_dir_lost",
                Some(
                    "further writes to the store would be lost; this manager has acknowledged no writes since the loss"
                        .to_owned(),
                ),
                Some(format!(
                    "running processes continue; restore {} before the next manager starts, so that it finds their \
                     records",
                    path.display()
                )),
            ),
            Self::NameTaken { .. } => (
                "node_name_taken",
                Some("two managers with the same node name would treat each other's processes as lost".to_owned()),
                Some(
                    "give this node its own name: node.id in the configuration, or --node-id NAME; if the other \
                     manager no longer runs, wait until its lease expires"
                        .to_owned(),
                ),
            ),
            Self::NameHeld { node, free_in, .. } => (
                "node_name_taken",
                Some("only the other state directory can determine what happened to these processes; this manager \
                      would mark them as lost, or run them twice".to_owned()),
                Some(match free_in {
                    Some(free_in) => format!(
                        "start with the other state directory, or give this node its own name: node.id in the \
                         configuration, or --node-id NAME; in {} ms the processes count as lost and the name \
                         becomes free",
                        free_in.as_millis()
                    ),
                    None => format!(
                        "start with the other state directory, or give this node its own name: node.id in the \
                         configuration, or --node-id NAME; if the other directory no longer exists: `longhaul node \
                         forget {node}` on another node, or `longhaul store adopt` if there is no other node"
                    ),
                }),
            ),
            Self::Replaced { .. } => (
                "node_name_taken",
                Some("the lease of this node expired, so its processes belong to the other manager; this manager \
                      has acknowledged nothing since then".to_owned()),
                Some(
                    "running processes continue; give one of the two nodes another name: node.id in the \
                     configuration, or --node-id NAME"
                        .to_owned(),
                ),
            ),
            Self::KeyNamed { .. } => (
                "key_in_use",
                Some("no manager has started with the new key yet; without the old key no manager could start".to_owned()),
                Some(
                    "copy the key file to every node, restart the managers one after the other, then try again".to_owned(),
                ),
            ),
            Self::KeyNeeded { .. } => (
                "input_needed",
                Some("without this key, every node refuses to start or retry these processes".to_owned()),
                Some(
                    "wait until the processes have ended (`longhaul status`), or remove the key anyway: `longhaul \
                     store key --retire --yes`"
                        .to_owned(),
                ),
            ),
            Self::ClientCommand => (
                "invalid_request",
                None,
                Some("run the same command with the program longhaul".to_owned()),
            ),
            Self::Init { why, help, .. } => ("invalid_request", why.clone(), help.clone()),
            Self::Engine { .. } => ("store_unavailable", causes(self), None),
            Self::Log { .. } | Self::System { .. } | Self::Output { .. } => ("internal", causes(self), None),
        };
        Problem { slug: slug.to_owned(), title: self.to_string(), detail, help, ..Problem::default() }
    }

    /// Writes the error to the log as JSON. A client that started this manager reads the error from the log and reports
    /// it as its own error.
    pub(crate) fn log(&self) {
        let mut said = serde_json::json!(self.problem());
        if let Some(fields) = said.as_object_mut() {
            fields.retain(|_, value| match value {
                Value::Null => false,
                Value::Array(values) => !values.is_empty(),
                Value::Number(number) => number.as_u64() != Some(0),
                Value::Bool(_) | Value::String(_) | Value::Object(_) => true,
            });
        }
        tracing::error!("cannot serve: {said}");
    }

    /// Writes the error to stderr, as text for people or as JSON.
    pub fn report(&self, json: bool) {
        let problem = self.problem();
        let text = if json {
            format!("{}\n", serde_json::json!(problem))
        } else {
            let mut text = format!("error: {} [{}]\n", problem.title, problem.slug);
            for (name, line) in [("why: ", problem.detail), ("help:", problem.help)] {
                if let Some(line) = line {
                    text.push_str(&format!("  {name} {line}\n"));
                }
            }
            text
        };
        // If writing to stderr fails, only the exit code reports the error.
        let _ = io::stderr().write_all(clean_json(&text).as_bytes());
    }
}

fn have_many(open: u64) -> String {
    have(usize::try_from(open).unwrap_or(usize::MAX))
}

/// Returns the messages of all causes of an error on one line. Returns `None` if the error has no cause.
pub(crate) fn causes(error: &dyn Error) -> Option<String> {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        // Some errors repeat the message of their cause.
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = next.source();
    }
    (!texts.is_empty()).then(|| texts.join(": "))
}

impl From<InitError> for ProgramError {
    fn from(error: InitError) -> Self {
        let what = error.to_string();
        match error {
            InitError::StateDir(error) => Self::StateDir(error),
            InitError::Exists { .. } => Self::Init {
                what,
                why: Some("this project already has a state directory".to_owned()),
                help: Some("add missing files with `longhaul init --force`".to_owned()),
            },
            InitError::Write { source, .. } => Self::Init { what, why: Some(source.to_string()), help: None },
        }
    }
}
