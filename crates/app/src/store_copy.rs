//! `longhaul store copy`: everything that one store keeps, into another one.

mod draft;
mod vouch;

use crate::binding::{Binding, UnusableFile};
use crate::compose::{self, ComposeError, Movable, shared};
use crate::config::{Settings, StoreChoice};
use crate::failure::Failure;
use crate::lock::{LOCK, ManagerLock};
use crate::state_dir::StateDir;
use crate::stores::{is_left_out, unknown};
use draft::Draft;
use longhaul_cli::shell_word;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{Clock, Cursor, Filter, Listing, Order, PageAsk, SealFault, StoreError, Stored};
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vouch::{Vouching, is_shared};

/// So many records are moved at once.
const PAGE: u32 = 500;

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// There is no such kind of store.
    #[error("this program has no store {scheme:?}")]
    Unknown {
        /// The part of the URL before the colon: the rest may hold a password.
        scheme: String,
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
    #[error("{place} is there already")]
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
        "{} would be called interrupted, while {} is still there to find them, and nobody can be asked",
        counted(*running), state_dir.display()
    )]
    Unconfirmed {
        /// How many processes run.
        running: usize,
        /// The state directory that the store is bound to.
        state_dir: PathBuf,
    },
    /// Work would go on without a record, and nobody agreed.
    #[error(
        "{} of this state directory may be in the records of {last} alone, and nobody can be asked whether to give that up",
        counted(*live)
    )]
    Unwatched {
        /// How many processes live.
        live: usize,
        /// The store that the state directory was served with last.
        last: String,
    },
    /// Work would go on without a record, because the store has lost them, and nobody agreed.
    #[error("{} may have no record in {store}, which has lost some, and nobody can be asked whether to accept that", counted(*live))]
    Unrecorded {
        /// How many processes live.
        live: usize,
        /// The store.
        store: String,
    },
    /// A copy of a state directory would work beside the original.
    #[error("the original, {}, is served by a manager or has work that runs", original.display())]
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
        fault: SealFault,
    },
    /// What was read back is not what was written.
    #[error("the copy differs from the original in {what}")]
    Differs {
        /// In what.
        what: String,
    },
}

/// Copies a store and gives what is printed.
pub(crate) fn store_copy(
    state_dir: &Path,
    from: &str,
    to: &str,
    settings: impl FnOnce() -> Result<Settings, Failure>,
    json: bool,
) -> Result<String, Failure> {
    let (from, to) = (chosen(from, state_dir)?, chosen(to, state_dir)?);
    let draft = Draft::of(&to)?;
    if path_of(&from)?.is_some_and(|path| !path.exists()) {
        return Err(CopyError::Missing { store: from.to_string() }.into());
    }
    let state = StateDir::prepare(state_dir)?;
    let _locks = locks(&state, [&from, &to])?;
    let clock = compose::clock(&state)?;
    let settings = if is_shared(&from) || is_shared(&to) { Some(settings()?) } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::System { tried: "start its runtime", source })?;
    let (counts, cleared) = runtime.block_on(async {
        if let StoreChoice::Other(url) = &from
            && !shared::exists(url).await.map_err(failed(&from))?
        {
            return Err(CopyError::Missing { store: from.to_string() });
        }
        let cleared = draft.cleared(&clock).await?;
        let copied = copy(&from, &draft.store, settings.as_ref(), &clock).await;
        let placed = match copied {
            Ok(counts) => draft.put_in_place(&from).await.map(|()| counts),
            Err(error) => Err(error),
        };
        if placed.is_err() {
            // It was made here and is not whole.
            draft.discard().await;
        }
        Ok((placed?, cleared))
    })?;
    Ok(counts.told(&from, &to, cleared.as_deref(), json))
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    processes: u64,
    events: u64,
    nodes: usize,
    old_keys: usize,
    swept: usize,
}

impl Counts {
    fn told(self, from: &StoreChoice, to: &StoreChoice, cleared: Option<&str>, as_json: bool) -> String {
        let Self { processes, events, nodes, old_keys, swept } = self;
        if as_json {
            let told = json!({
                "from": from.to_string(), "to": to.to_string(), "processes": processes, "events": events,
                "nodes": nodes, "old_launch_keys": old_keys, "swept": swept, "compared": true,
                "cleared": cleared,
            });
            return format!("{told:#}\n");
        }
        let cleared = cleared.map_or_else(String::new, |place| {
            format!("{place} was left by a copy that was cut short; it is gone\n")
        });
        let many = |count: u64, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        format!(
            "{cleared}copied {from} to {to}\n\
            {}, {}, {}, {} and {} of processes that were let go; all of it was read back and compared\n\
            to use it: store = \"{to}\" in the configuration\n",
            many(processes, "process", "processes"),
            many(events, "event", "events"),
            many(nodes as u64, "node", "nodes"),
            many(old_keys as u64, "launch key", "launch keys"),
            many(swept as u64, "id", "ids"),
        )
    }
}

fn chosen(url: &str, state_dir: &Path) -> Result<StoreChoice, CopyError> {
    let shared = || shared::knows(url).then(|| StoreChoice::Other(url.to_owned()));
    StoreChoice::of(url, state_dir).or_else(shared).ok_or_else(|| CopyError::Unknown {
        scheme: url.split_once(':').map_or(url, |(scheme, _)| scheme).to_owned(),
    })
}

/// Where a store lies on this machine; none for one of many machines.
fn path_of(store: &StoreChoice) -> Result<Option<&Path>, CopyError> {
    match store {
        StoreChoice::Sqlite(path) | StoreChoice::Fs(path) => Ok(Some(path)),
        StoreChoice::Other(_) => Ok(None),
        StoreChoice::Memory => Err(CopyError::Memory),
    }
}

/// The locks of every manager that may use one of the stores: of this state directory, and of those that they lie in.
fn locks(state: &StateDir, stores: [&StoreChoice; 2]) -> Result<Vec<ManagerLock>, Failure> {
    let mut locks = vec![ManagerLock::take(state)?];
    let mut seen = vec![fs::canonicalize(state.path()).unwrap_or_else(|_| state.path().to_owned())];
    for store in stores {
        let parent = path_of(store)?.and_then(Path::parent);
        let Some(parent) = parent.and_then(|parent| fs::canonicalize(parent).ok()) else {
            continue;
        };
        if parent.join(LOCK).exists() && !seen.contains(&parent) {
            locks.push(ManagerLock::take(&StateDir::prepare(&parent)?)?);
            seen.push(parent);
        }
    }
    Ok(locks)
}

/// Copies, closes the copy, opens it anew and compares.
async fn copy(
    from: &StoreChoice,
    to: &StoreChoice,
    settings: Option<&Settings>,
    clock: &Arc<dyn Clock>,
) -> Result<Counts, CopyError> {
    let original = opened(from, clock).await?;
    let vouching = Vouching::between(from, to, settings, clock.now()).await?;
    let counts = {
        let copy = opened(to, clock).await?;
        fill(original.as_ref(), copy.as_ref(), from, to, &vouching).await?
    };
    let copy = opened(to, clock).await?;
    let compared = compare(original.as_ref(), copy.as_ref(), from, to, &vouching).await?;
    if counts != compared {
        return Err(CopyError::Differs { what: "the number of records".to_owned() });
    }
    if matches!(from, StoreChoice::Other(_)) {
        // Nobody was kept away meanwhile.
        opened(from, clock).await?;
    }
    Ok(counts)
}

async fn opened(choice: &StoreChoice, clock: &Arc<dyn Clock>) -> Result<Box<dyn Movable>, CopyError> {
    let opened = compose::movable(choice, clock).await.map_err(failed(choice))?;
    opened.ok_or_else(|| match choice {
        StoreChoice::Memory => CopyError::Memory,
        StoreChoice::Other(_) => {
            CopyError::InUse { store: choice.to_string(), user: "a node whose lease is not over".to_owned() }
        }
        StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => {
            CopyError::InUse { store: choice.to_string(), user: Binding::user(choice) }
        }
    })
}

async fn fill(
    original: &dyn Movable,
    copy: &dyn Movable,
    from: &StoreChoice,
    to: &StoreChoice,
    vouching: &Vouching,
) -> Result<Counts, CopyError> {
    let mut counts = Counts::default();
    let mut page = PageAsk { order: Order::OldestFirst, after: None, most: PAGE };
    loop {
        let listing =
            original.list(&Filter::default(), &page).await.and_then(Listing::whole).map_err(failed(from))?;
        let vouched = listing.processes.into_iter().map(|stored| vouching.vouched(stored));
        let processes: Vec<Stored> = vouched.collect::<Result<_, _>>()?;
        copy.take_processes(&processes).await.map_err(failed(to))?;
        counts.processes += processes.len() as u64;
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    let mut after = None;
    loop {
        let events = original.read(after, PAGE, false).await.map_err(failed(from))?.events;
        let Some(last) = events.last() else { break };
        after = Some(last.cursor);
        copy.take_events(&events).await.map_err(failed(to))?;
        counts.events += events.len() as u64;
    }
    let books = original.books().await.map_err(failed(from))?;
    copy.take_books(&books).await.map_err(failed(to))?;
    Ok(Counts {
        nodes: books.nodes.len(),
        old_keys: books.old_keys.len(),
        swept: books.swept.len(),
        ..counts
    })
}

/// Reads both and compares everything; counts what the copy has.
async fn compare(
    original: &dyn Movable,
    copy: &dyn Movable,
    from: &StoreChoice,
    to: &StoreChoice,
    vouching: &Vouching,
) -> Result<Counts, CopyError> {
    let mut counts = Counts::default();
    let mut page = PageAsk { order: Order::OldestFirst, after: None, most: PAGE };
    loop {
        let listing =
            copy.list(&Filter::default(), &page).await.and_then(Listing::whole).map_err(failed(to))?;
        let ids: Vec<_> = listing.processes.iter().map(|stored| stored.process.id).collect();
        let expected = original.load(&ids).await.map_err(failed(from))?;
        for (found, expected) in listing.processes.into_iter().zip(expected) {
            let id = found.process.id;
            if Some(found) != expected.map(|expected| vouching.vouched(expected)).transpose()? {
                return Err(CopyError::Differs { what: format!("the process {id}") });
            }
            counts.processes += 1;
        }
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    let mut after: Option<Cursor> = None;
    loop {
        let expected = original.read(after, PAGE, false).await.map_err(failed(from))?.events;
        let found = copy.read(after, PAGE, false).await.map_err(failed(to))?.events;
        if found != expected {
            let after = after.unwrap_or_default().0;
            return Err(CopyError::Differs { what: format!("the events after {after}") });
        }
        let Some(last) = found.last() else { break };
        after = Some(last.cursor);
        counts.events += found.len() as u64;
    }
    let expected = original.books().await.map_err(failed(from))?;
    let found = copy.books().await.map_err(failed(to))?;
    if found != expected {
        return Err(CopyError::Differs { what: "what is kept beside processes and events".to_owned() });
    }
    Ok(Counts {
        nodes: found.nodes.len(),
        old_keys: found.old_keys.len(),
        swept: found.swept.len(),
        ..counts
    })
}

/// Counts running processes in words.
pub(crate) fn counted(running: usize) -> String {
    if running == 1 { "1 running process".to_owned() } else { format!("{running} running processes") }
}

fn failed(store: &StoreChoice) -> impl Fn(StoreError) -> CopyError {
    let store = store.to_string();
    move |source| CopyError::Store { store: store.clone(), source }
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
            | Self::Memory
            | Self::Unconfirmed { .. }
            | Self::Unwatched { .. }
            | Self::Unrecorded { .. } => 2,
            Self::Missing { .. } | Self::Exists { .. } => 1,
            Self::InUse { .. } | Self::OriginalAtWork { .. } | Self::Store { .. } | Self::Key(_) => 6,
            Self::File { .. } | Self::Differs { .. } | Self::Untrusted { .. } => 1,
        }
    }

    /// The word that programs know it by.
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::Memory | Self::Missing { .. } | Self::Exists { .. } => {
                "invalid_request"
            }
            Self::InUse { .. } | Self::OriginalAtWork { .. } => "already_running",
            Self::Unconfirmed { .. } | Self::Unwatched { .. } | Self::Unrecorded { .. } => "input_needed",
            Self::Store { .. } => "store_unavailable",
            // Where the namespace keeps the id of its key cannot be looked at.
            Self::Key(ComposeError::Store { .. }) => "store_unavailable",
            Self::Key(_) => "cluster_key_unusable",
            Self::Untrusted { .. } => "not_trusted",
            Self::File { .. } | Self::Differs { .. } => "internal",
        }
    }

    /// What to do about it.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { scheme } if is_left_out(scheme) => Some(unknown(scheme).to_owned()),
            Self::Unknown { .. } | Self::Memory => {
                Some("give sqlite:PATH, fs:PATH or redis://HOST".to_owned())
            }
            Self::Missing { .. } => {
                Some("relative paths begin at the state directory, as in the configuration".to_owned())
            }
            Self::Exists { .. } => Some("give another place, or move away what is there".to_owned()),
            Self::InUse { .. } => Some("end the manager that uses it (its processes go on)".to_owned()),
            Self::Store { source: StoreError::Corrupt { way_out, .. }, .. } => Some(way_out.clone()),
            Self::Store { source: StoreError::Format { .. }, .. } => {
                Some("use the newer program that wrote it; nothing was changed".to_owned())
            }
            Self::Store { store, source } => shared::allowing(store, source),
            Self::File { .. } => None,
            Self::Unconfirmed { state_dir, .. } => Some(format!(
                "use that one: LONGHAUL_STATE_DIR={}; or `longhaul store adopt --yes`",
                shell_word(&state_dir.to_string_lossy())
            )),
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
