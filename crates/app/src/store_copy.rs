//! The command `longhaul store copy`, which copies the content of a store to another store.

mod draft;
mod error;
mod signatures;

pub use error::CopyError;

use crate::binding::StoreBinding;
use crate::compose::{self, CopyableStore, shared};
use crate::config::{ManagerConfig, StoreChoice};
use crate::failure::ProgramError;
use crate::lock::{LOCK, ManagerLock};
use crate::stores::Stores;
use draft::StagingCopy;
use longhaul_client::StateDir;
use longhaul_engine::ports::{
    Clock, EventCursor, Listing, PageRequest, Presence, ProcessFilter, SortOrder, StoreError, StoredProcess,
};
use serde_json::json;
use signatures::{SignatureHandling, is_added, is_shared};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Number of records that are copied in one step.
const PAGE: u32 = 500;

/// Copies a store and returns the text to print.
pub(crate) fn store_copy(
    state_dir: &Path,
    from: &str,
    to: &str,
    settings: impl FnOnce() -> Result<ManagerConfig, ProgramError>,
    stores: &Stores,
    json: bool,
) -> Result<String, ProgramError> {
    let (from, to) = (chosen(from, state_dir, stores)?, chosen(to, state_dir, stores)?);
    let draft = StagingCopy::of(&to)?;
    if path_of(&from)?.is_some_and(|path| !path.exists()) {
        return Err(CopyError::Missing { store: from.to_string() }.into());
    }
    let state = StateDir::prepare(state_dir)?;
    let _locks = locks(&state, [&from, &to])?;
    let clock = compose::clock(&state)?;
    let settings = if is_shared(&from) || is_shared(&to) { Some(settings()?) } else { None };
    // A store may block the thread that opens it while it waits for its own tasks. The runtime therefore has a second
    // thread for these tasks.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| ProgramError::System { tried: "start the async runtime", source })?;
    let (counts, cleared) = runtime.block_on(async {
        if let StoreChoice::Other(url) = &from
            && !is_added(&from)
            && !shared::exists(url).await.map_err(failed(&from))?
        {
            return Err(CopyError::Missing { store: from.to_string() });
        }
        let cleared = draft.cleared(&clock).await?;
        let copied = copy(&from, &draft.store, settings.as_ref(), stores, &clock).await;
        let placed = match copied {
            Ok(counts) => {
                let placed = draft.put_in_place(&from).await;
                placed.map(|()| counts).map_err(|error| with_leftovers(&draft.store, error))
            }
            Err(error) => Err(error),
        };
        if placed.is_err() {
            // After a failure, the incomplete copy is removed.
            draft.discard().await;
        }
        Ok((placed?, cleared))
    })?;
    Ok(counts.report(&from, &to, cleared.as_deref(), json))
}

/// Number of copied records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CopyCounts {
    processes: u64,
    events: u64,
    nodes: usize,
    old_keys: usize,
    swept: usize,
}

impl CopyCounts {
    fn report(self, from: &StoreChoice, to: &StoreChoice, cleared: Option<&str>, as_json: bool) -> String {
        let Self { processes, events, nodes, old_keys, swept } = self;
        if as_json {
            let reported = json!({
                "from": from.to_string(), "to": to.to_string(), "processes": processes, "events": events,
                "nodes": nodes, "old_launch_keys": old_keys, "swept": swept, "compared": true,
                "cleared": cleared,
            });
            return format!("{reported:#}\n");
        }
        let cleared = cleared.map_or_else(String::new, |place| {
            format!("removed {place}, which an interrupted copy had left\n")
        });
        let many = |count: u64, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        format!(
            "{cleared}copied {from} to {to}\n{}, {}, {}, {} and {} of pruned processes; the copy was read back and \
             compared\nto use the copy: store = \"{to}\" in the configuration\n",
            many(processes, "process", "processes"),
            many(events, "event", "events"),
            many(nodes as u64, "node", "nodes"),
            many(old_keys as u64, "launch key", "launch keys"),
            many(swept as u64, "id", "ids"),
        )
    }
}

fn chosen(url: &str, state_dir: &Path, stores: &Stores) -> Result<StoreChoice, CopyError> {
    let other = || stores.knows(url).then(|| StoreChoice::Other(url.to_owned()));
    let unknown = || CopyError::Unknown { scheme: scheme_of(url), choices: stores.movable_choices() };
    StoreChoice::of(url, state_dir).or_else(other).ok_or_else(unknown)
}

fn scheme_of(url: &str) -> String {
    url.split_once(':').map_or(url, |(scheme, _)| scheme).to_owned()
}

/// Returns the path of a store. Returns `None` if the store has no files on this machine.
fn path_of(store: &StoreChoice) -> Result<Option<&Path>, CopyError> {
    match store {
        StoreChoice::Sqlite(path) | StoreChoice::Fs(path) => Ok(Some(path)),
        StoreChoice::Other(_) => Ok(None),
        StoreChoice::Memory => Err(CopyError::Memory),
    }
}

/// Acquires the locks of all managers that may use the original or the copy. These are the lock on this state
/// directory, and the locks on the state directories that contain one of the two stores.
fn locks(state: &StateDir, stores: [&StoreChoice; 2]) -> Result<Vec<ManagerLock>, ProgramError> {
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

/// Copies the content of a store, closes and reopens the copy, and compares the copy with the original.
async fn copy(
    from: &StoreChoice,
    to: &StoreChoice,
    settings: Option<&ManagerConfig>,
    stores: &Stores,
    clock: &Arc<dyn Clock>,
) -> Result<CopyCounts, CopyError> {
    let original = opened(from, stores, clock).await?;
    let vouching = SignatureHandling::between(from, to, settings, clock.now()).await?;
    let copy = opened(to, stores, clock).await?;
    if is_added(to) && copy.end().await.map_err(failed(to))? != EventCursor::default() {
        return Err(CopyError::Exists { place: to.to_string() });
    }
    let copied = async {
        let counts = fill(original.as_ref(), copy.as_ref(), from, to, &vouching).await?;
        drop(copy);
        let copy = opened(to, stores, clock).await?;
        let compared = compare(original.as_ref(), copy.as_ref(), from, to, &vouching).await?;
        if counts != compared {
            return Err(CopyError::Differs { what: "the number of records".to_owned() });
        }
        if is_shared(from) {
            // Open the source again, because no lock prevents a node from registering during the copy. The opening
            // fails if a node has registered.
            opened(from, stores, clock).await?;
        }
        Ok(counts)
    };
    copied.await.map_err(|error| with_leftovers(to, error))
}

/// Extends the error of a failed copy if an incomplete copy remains in the store.
fn with_leftovers(to: &StoreChoice, error: CopyError) -> CopyError {
    if is_added(to) { CopyError::Partial { store: to.to_string(), source: Box::new(error) } } else { error }
}

async fn opened(
    choice: &StoreChoice,
    stores: &Stores,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn CopyableStore>, CopyError> {
    if let StoreChoice::Other(url) = choice
        && is_added(choice)
    {
        let opened = stores.open_movable(url, clock).await;
        let immovable = || CopyError::Immovable { scheme: scheme_of(url) };
        let opened = opened.ok_or_else(immovable)?.map_err(failed(choice))?;
        let nodes = opened.list_nodes().await.map_err(failed(choice))?;
        let is_used = nodes.iter().any(|node| matches!(node.presence, Presence::Present { until: Some(_) }));
        return if is_used { Err(in_use(choice)) } else { Ok(opened) };
    }
    let opened = compose::movable(choice, clock).await.map_err(failed(choice))?;
    opened.ok_or_else(|| match choice {
        StoreChoice::Memory => CopyError::Memory,
        StoreChoice::Other(_) => in_use(choice),
        StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => {
            CopyError::InUse { store: choice.to_string(), user: StoreBinding::user(choice) }
        }
    })
}

/// Returns the error for a shared store that a node is using.
fn in_use(choice: &StoreChoice) -> CopyError {
    CopyError::InUse { store: choice.to_string(), user: "a node whose lease has not expired".to_owned() }
}

async fn fill(
    original: &dyn CopyableStore,
    copy: &dyn CopyableStore,
    from: &StoreChoice,
    to: &StoreChoice,
    vouching: &SignatureHandling,
) -> Result<CopyCounts, CopyError> {
    let mut counts = CopyCounts::default();
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
    loop {
        let listing = original
            .list(&ProcessFilter::default(), &page)
            .await
            .and_then(Listing::whole)
            .map_err(failed(from))?;
        let vouched = listing.processes.into_iter().map(|stored| vouching.signed(stored));
        let processes: Vec<StoredProcess> = vouched.collect::<Result<_, _>>()?;
        copy.import_processes(&processes).await.map_err(failed(to))?;
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
        copy.import_events(&events).await.map_err(failed(to))?;
        counts.events += events.len() as u64;
    }
    let store_metadata = original.store_metadata().await.map_err(failed(from))?;
    copy.import_metadata(&store_metadata).await.map_err(failed(to))?;
    Ok(CopyCounts {
        nodes: store_metadata.nodes.len(),
        old_keys: store_metadata.old_keys.len(),
        swept: store_metadata.tombstones.len(),
        ..counts
    })
}

/// Reads both stores completely and compares them. Returns the number of records of each kind in the copy.
async fn compare(
    original: &dyn CopyableStore,
    copy: &dyn CopyableStore,
    from: &StoreChoice,
    to: &StoreChoice,
    vouching: &SignatureHandling,
) -> Result<CopyCounts, CopyError> {
    let mut counts = CopyCounts::default();
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
    loop {
        let listing =
            copy.list(&ProcessFilter::default(), &page).await.and_then(Listing::whole).map_err(failed(to))?;
        let ids: Vec<_> = listing.processes.iter().map(|stored| stored.process.id).collect();
        let expected = original.load(&ids).await.map_err(failed(from))?;
        for (found, expected) in listing.processes.into_iter().zip(expected) {
            let id = found.process.id;
            if Some(found) != expected.map(|expected| vouching.signed(expected)).transpose()? {
                return Err(CopyError::Differs { what: format!("the process {id}") });
            }
            counts.processes += 1;
        }
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    let mut after: Option<EventCursor> = None;
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
    let expected = original.store_metadata().await.map_err(failed(from))?;
    let found = copy.store_metadata().await.map_err(failed(to))?;
    if found != expected {
        return Err(CopyError::Differs { what: "the data other than processes and events".to_owned() });
    }
    Ok(CopyCounts {
        nodes: found.nodes.len(),
        old_keys: found.old_keys.len(),
        swept: found.tombstones.len(),
        ..counts
    })
}

/// Describes a number of waiting processes in words.
pub(crate) fn counted_waiting(waiting: usize) -> String {
    if waiting == 1 { "1 waiting process".to_owned() } else { format!("{waiting} waiting processes") }
}

pub(crate) fn counted(running: usize) -> String {
    if running == 1 { "1 running process".to_owned() } else { format!("{running} running processes") }
}

fn failed(store: &StoreChoice) -> impl Fn(StoreError) -> CopyError {
    let store = store.to_string();
    move |source| CopyError::Store { store: store.clone(), source }
}
