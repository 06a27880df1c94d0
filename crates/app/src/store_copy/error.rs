//! Errors that occur when a store is copied or adopted, with advice for the user.

use super::{counted, counted_waiting};
use crate::binding::UnusableFile;
use crate::compose::host_check::listed;
use crate::compose::{ComposeError, shared};
use crate::stores::unknown;
use longhaul_cli::shell_word;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{SignatureError, StoreError};
use longhaul_wire::store::is_builtin_scheme;
use std::io;
use std::path::PathBuf;

/// Reason why a store could not be copied or adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The kind of store is unknown.
    #[error("this program does not support the store type {scheme:?}")]
    Unknown {
        /// Scheme of the store URL. The rest of the URL is not shown, because it may contain a password.
        scheme: String,
        /// Description of the known kinds of stores.
        choices: String,
    },
    /// The program added the kind of store without implementing the port `Migrate`, which a copy needs.
    #[error(
        "a store of the type {scheme:?} cannot be copied: this program added the type without the port Migrate"
    )]
    Immovable {
        /// Scheme in the URL of the store.
        scheme: String,
    },
    /// The copy failed, and an incomplete copy remains in the store.
    #[error("the copy into {store} is incomplete")]
    Partial {
        /// Name of the store.
        store: String,
        /// Underlying error that caused this error.
        #[source]
        source: Box<Self>,
    },
    /// An in-memory store cannot be copied.
    #[error("an in-memory store cannot be copied, because it exists only while its manager runs")]
    Memory,
    /// The store to copy or adopt does not exist.
    #[error("the store {store} does not exist")]
    Missing {
        /// Name of the store.
        store: String,
    },
    /// The target location of the copy is already in use.
    #[error("the target {place} already exists")]
    Exists {
        /// Target location of the copy.
        place: String,
    },
    /// Another program uses the store.
    #[error("the store {store} is in use by {user}")]
    InUse {
        /// Name of the store.
        store: String,
        /// Description of the other program, as far as it is known.
        user: String,
    },
    /// A store operation on the original or on the copy failed.
    #[error("the store {store} cannot be used")]
    Store {
        /// Name of the store.
        store: String,
        /// Underlying error that caused this error.
        #[source]
        source: StoreError,
    },
    /// A file cannot be read, written or moved.
    #[error("the file {} cannot be used", path.display())]
    File {
        /// Path of the file that cannot be used.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// Running processes of another state directory would become interrupted, and the user did not consent.
    #[error(
        "{} would be marked as interrupted, although {} still exists and can find them; there is no terminal to ask \
         for confirmation",
        counted(*running), state_dir.display()
    )]
    Unconfirmed {
        /// Number of running processes.
        running: usize,
        /// State directory that the store is bound to.
        state_dir: PathBuf,
    },
    /// Waiting processes of a copied state directory would start, and the user did not consent.
    #[error(
        "{} would start here, although {} may have started them already; there is no terminal to ask for \
         confirmation", counted_waiting(*waiting), original.display()
    )]
    WaitingInCopy {
        /// Number of processes that have not started.
        waiting: usize,
        /// Path of the state directory from which the copy was made.
        original: PathBuf,
    },
    /// Running attempts would continue without a record, because their records are in the previous store, and the user
    /// did not consent.
    #[error(
        "{} of this state directory may have records only in {last}; there is no terminal to ask whether to abandon \
         that store",
        counted(*live)
    )]
    Unwatched {
        /// Number of processes with a running attempt.
        live: usize,
        /// Name of the store with which the state directory was served last.
        last: String,
    },
    /// Running attempts would continue without a record, because the store has lost their records, and the user did not
    /// consent.
    #[error("{} may have no record in {store}, which has lost records; there is no terminal to ask whether to \
             accept the loss", counted(*live))]
    Unrecorded {
        /// Number of processes with a running attempt.
        live: usize,
        /// Name of the store.
        store: String,
    },
    /// The state directory is a copy, and the original is still in use.
    #[error("the original state directory {} is served by a manager or has running processes", original.display())]
    OriginalAtWork {
        /// Path of the original state directory.
        original: PathBuf,
    },
    /// The state directory is a copy whose original was removed, but attempts of the original are still running.
    #[error("processes of the removed state directory {} are still running, and their output and exit codes cannot be recorded in \
             the copy (pids of the programs: {})", original.display(), listed(programs))]
    OriginalRunning {
        /// Path of the original state directory.
        original: PathBuf,
        /// Pids of the programs of these attempts.
        programs: Vec<u32>,
    },
    /// A part that the copy or adoption needs, such as the cluster key, cannot be opened.
    #[error(transparent)]
    Key(#[from] ComposeError),
    /// The signature of an unfinished process is invalid, so its launch cannot be trusted.
    #[error("the launch of the unfinished process {id} cannot be trusted: {fault}")]
    Untrusted {
        /// Id of the process with the invalid signature.
        id: ProcessId,
        /// Reason why the signature is invalid.
        #[source]
        fault: SignatureError,
    },
    /// The copy was read back and differs from the original.
    #[error("the copy differs from the original in {what}")]
    Differs {
        /// Description of the part of the copy that differs.
        what: String,
    },
}

impl From<UnusableFile> for CopyError {
    fn from(UnusableFile { path, source }: UnusableFile) -> Self {
        Self::File { path, source }
    }
}

impl CopyError {
    /// Returns the exit code for the error.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown { .. }
            | Self::Immovable { .. }
            | Self::Memory
            | Self::Unconfirmed { .. }
            | Self::WaitingInCopy { .. }
            | Self::Unwatched { .. }
            | Self::Unrecorded { .. } => 2,
            Self::Missing { .. } | Self::Exists { .. } => 1,
            Self::InUse { .. }
            | Self::OriginalAtWork { .. }
            | Self::OriginalRunning { .. }
            | Self::Store { .. }
            | Self::Key(_) => 6,
            Self::File { .. } | Self::Differs { .. } | Self::Untrusted { .. } => 1,
            Self::Partial { source, .. } => source.exit_code(),
        }
    }

    /// Returns the error code.
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            Self::Unknown { .. }
            | Self::Immovable { .. }
            | Self::Memory
            | Self::Missing { .. }
            | Self::Exists { .. } => "invalid_request",
            Self::Partial { source, .. } => source.slug(),
            Self::InUse { .. } | Self::OriginalAtWork { .. } | Self::OriginalRunning { .. } => {
                "already_running"
            }
            Self::Unconfirmed { .. }
            | Self::WaitingInCopy { .. }
            | Self::Unwatched { .. }
            | Self::Unrecorded { .. } => "input_needed",
            Self::Store { .. } => "store_unavailable",
            // The program could not request the id of the cluster key from the store.
            Self::Key(ComposeError::Store { .. }) => "store_unavailable",
            Self::Key(_) => "cluster_key_unusable",
            Self::Untrusted { .. } => "launch_not_trusted",
            Self::File { .. } | Self::Differs { .. } => "internal",
        }
    }

    /// Returns advice for the user on how to resolve the error.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { scheme, .. } if is_builtin_scheme(scheme) => Some(unknown(scheme).to_owned()),
            Self::Immovable { .. } => Some(
                "add the type with `Builder::movable_store` after its store implements Migrate"
                    .to_owned(),
            ),
            Self::Partial { store, .. } => {
                Some(format!("empty {store} before you copy to it again; the original is unchanged"))
            }
            Self::Unknown { choices, .. } => Some(choices.clone()),
            Self::Memory => Some("give sqlite:PATH, fs:PATH or redis://HOST".to_owned()),
            Self::Missing { .. } => {
                Some("check the path; relative paths start at the state directory, as in the configuration".to_owned())
            }
            Self::Exists { .. } => Some("give another target, or move the existing target away".to_owned()),
            Self::InUse { .. } => Some("end the manager that uses the store (its processes continue)".to_owned()),
            Self::Store { source: StoreError::Corrupt { remedy, .. }, .. } => Some(remedy.clone()),
            Self::Store {
                source: error @ (StoreError::Format { .. } | StoreError::NewerRecord { .. }),
                ..
            } => error.format_help().map(str::to_owned),
            Self::Store { store, source } => shared::allowing(store, source),
            Self::File { .. } => None,
            Self::Unconfirmed { state_dir, .. } => Some(format!(
                "use that state directory: LONGHAUL_STATE_DIR={}; or adopt the store anyway: `longhaul store adopt \
                 --yes`",
                shell_word(&state_dir.to_string_lossy())
            )),
            Self::WaitingInCopy { .. } => Some(
                "start them here with `longhaul store adopt --yes`, or end them first with `longhaul cancel` in the \
                 original state directory"
                    .to_owned(),
            ),
            Self::Unwatched { .. } => {
                Some("abandon that store with `longhaul store adopt --yes`; its running processes continue, but no \
                      manager shows or stops them".to_owned())
            }
            Self::Unrecorded { .. } => Some(
                "accept the loss with `longhaul store adopt --yes`; the running processes continue, but no manager \
                 shows or stops them"
                    .to_owned(),
            ),
            Self::OriginalAtWork { original } => Some(format!(
                "cancel its processes (LONGHAUL_STATE_DIR={} longhaul cancel --all), then end its manager",
                shell_word(&original.to_string_lossy())
            )),
            Self::OriginalRunning { .. } => Some(
                "wait until these programs end, or end them with kill; then adopt the copy, which records them as \
                 interrupted"
                    .to_owned(),
            ),
            Self::Key(error) => error.help(),
            Self::Untrusted { .. } => Some("cancel the process first; launch it again if it is still needed".to_owned()),
            Self::Differs { .. } => Some("try the copy again; no copy was created, and the original is unchanged".to_owned()),
        }
    }
}
