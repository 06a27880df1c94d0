//! Why a store was not copied or adopted, and what to do about it.

use super::{counted, counted_waiting};
use crate::binding::UnusableFile;
use crate::compose::{ComposeError, shared};
use crate::stores::{is_left_out, unknown};
use longhaul_cli::shell_word;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{SignatureError, StoreError};
use std::io;
use std::path::PathBuf;

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// There is no such kind of store.
    #[error("this program has no store {scheme:?}")]
    Unknown {
        /// The part of the URL before the colon: the rest may hold a password.
        scheme: String,
        /// Which stores may be named.
        choices: String,
    },
    /// The program added it without what a copy needs.
    #[error("a store {scheme:?} cannot be copied: this program added it without the port Migrate")]
    Immovable {
        /// The part of the URL before the colon.
        scheme: String,
    },
    /// The copy failed, and what was copied of it stays in the store.
    #[error("the copy into {store} is incomplete")]
    Partial {
        /// The store.
        store: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// There is nothing on the disk.
    #[error("a store in memory ends with its manager")]
    Memory,
    /// There is nothing to copy.
    #[error("there is no store {store}")]
    Missing {
        /// Where it should be.
        store: String,
    },
    /// Something is in the way.
    #[error("{place} already exists")]
    Exists {
        /// Where.
        place: String,
    },
    /// Somebody uses it.
    #[error("the store {store} is in use by {user}")]
    InUse {
        /// Which.
        store: String,
        /// Who uses it, as far as that is known.
        user: String,
    },
    /// One of the stores failed.
    #[error("the store {store} cannot be used")]
    Store {
        /// Which.
        store: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A file could not be moved or removed.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Work would be lost from sight, and nobody agreed.
    #[error(
        "{} would become interrupted, although {} still exists and can find them; there is no terminal to ask",
        counted(*running), state_dir.display()
    )]
    Unconfirmed {
        /// How many processes run.
        running: usize,
        /// The state directory that the store is bound to.
        state_dir: PathBuf,
    },
    /// Waiting processes of a copied state directory would start, and nobody agreed.
    #[error(
        "{} would start here, although {} may have started them already; there is no terminal to ask", counted_waiting(*waiting), original.display()
    )]
    WaitingInCopy {
        /// Number of processes that have not started.
        waiting: usize,
        /// The state directory that was copied.
        original: PathBuf,
    },
    /// Work would go on without a record, and nobody agreed.
    #[error(
        "{} of this state directory may only have records in {last}; there is no terminal to ask whether to abandon them",
        counted(*live)
    )]
    Unwatched {
        /// How many processes live.
        live: usize,
        /// The store that the state directory was served with last.
        last: String,
    },
    /// Work would go on without a record, because the store has lost them, and nobody agreed.
    #[error("{} may have no record in {store}, which has lost records; there is no terminal to ask whether to accept that", counted(*live))]
    Unrecorded {
        /// How many processes live.
        live: usize,
        /// The store.
        store: String,
    },
    /// A copy of a state directory would work beside the original.
    #[error("the original, {}, is served by a manager or has running work", original.display())]
    OriginalAtWork {
        /// The original.
        original: PathBuf,
    },
    /// The key of a store of many machines.
    #[error(transparent)]
    Key(#[from] ComposeError),
    /// Whoever wrote to the store may have made it up.
    #[error("process {id} has not ended, and is not trusted: {fault}")]
    Untrusted {
        /// Which.
        id: ProcessId,
        /// Why.
        #[source]
        fault: SignatureError,
    },
    /// What was read back is not what was written.
    #[error("the copy differs from the original in {what}")]
    Differs {
        /// In what.
        what: String,
    },
}

impl From<UnusableFile> for CopyError {
    fn from(UnusableFile { path, source }: UnusableFile) -> Self {
        Self::File { path, source }
    }
}

impl CopyError {
    /// The exit code that stands for it.
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
            Self::InUse { .. } | Self::OriginalAtWork { .. } | Self::Store { .. } | Self::Key(_) => 6,
            Self::File { .. } | Self::Differs { .. } | Self::Untrusted { .. } => 1,
            Self::Partial { source, .. } => source.exit_code(),
        }
    }

    /// The word that programs know it by.
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            Self::Unknown { .. }
            | Self::Immovable { .. }
            | Self::Memory
            | Self::Missing { .. }
            | Self::Exists { .. } => "invalid_request",
            Self::Partial { source, .. } => source.slug(),
            Self::InUse { .. } | Self::OriginalAtWork { .. } => "already_running",
            Self::Unconfirmed { .. }
            | Self::WaitingInCopy { .. }
            | Self::Unwatched { .. }
            | Self::Unrecorded { .. } => "input_needed",
            Self::Store { .. } => "store_unavailable",
            // Where the namespace keeps the id of its key cannot be looked at.
            Self::Key(ComposeError::Store { .. }) => "store_unavailable",
            Self::Key(_) => "cluster_key_unusable",
            Self::Untrusted { .. } => "launch_not_trusted",
            Self::File { .. } | Self::Differs { .. } => "internal",
        }
    }

    /// What to do about it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { scheme, .. } if is_left_out(scheme) => Some(unknown(scheme).to_owned()),
            Self::Immovable { .. } => Some(
                "let the program add it with `Builder::movable_store`, once the store implements Migrate"
                    .to_owned(),
            ),
            Self::Partial { store, .. } => {
                Some(format!("empty {store} before it is copied to again; the original is as it was"))
            }
            Self::Unknown { choices, .. } => Some(choices.clone()),
            Self::Memory => Some("give sqlite:PATH, fs:PATH or redis://HOST".to_owned()),
            Self::Missing { .. } => {
                Some("relative paths begin at the state directory, as in the configuration".to_owned())
            }
            Self::Exists { .. } => Some("give another place, or move away what is there".to_owned()),
            Self::InUse { .. } => Some("end the manager that uses it (its processes go on)".to_owned()),
            Self::Store { source: StoreError::Corrupt { remedy, .. }, .. } => Some(remedy.clone()),
            Self::Store {
                source: error @ (StoreError::Format { .. } | StoreError::NewerRecord { .. }),
                ..
            } => error.format_help().map(str::to_owned),
            Self::Store { store, source } => shared::allowing(store, source),
            Self::File { .. } => None,
            Self::Unconfirmed { state_dir, .. } => Some(format!(
                "use that one: LONGHAUL_STATE_DIR={}; or `longhaul store adopt --yes`",
                shell_word(&state_dir.to_string_lossy())
            )),
            Self::WaitingInCopy { .. } => Some(
                "`longhaul store adopt --yes` starts them here; `longhaul cancel` there ends them first"
                    .to_owned(),
            ),
            Self::Unwatched { .. } => {
                Some("`longhaul store adopt --yes` gives it up: what lives goes on unseen".to_owned())
            }
            Self::Unrecorded { .. } => Some(
                "`longhaul store adopt --yes` accepts the loss: they run on, and no manager sees them"
                    .to_owned(),
            ),
            Self::OriginalAtWork { original } => Some(format!(
                "end what runs there, and its manager: LONGHAUL_STATE_DIR={} longhaul cancel --all",
                shell_word(&original.to_string_lossy())
            )),
            Self::Key(error) => error.help(),
            Self::Untrusted { .. } => Some("cancel it first, and launch it anew if it is wanted".to_owned()),
            Self::Differs { .. } => Some("nothing was put in place; the original is as it was".to_owned()),
        }
    }
}
