//! The command `longhaul store adopt`, which binds a store to this state directory.

use crate::binding::{LiveProcess, StoreBinding, WorkOwner, hand_over, live, path_of, release};
use crate::compose::host_check::{LiveAttempt, live_attempts};
use crate::compose::{self, ComposeError, host_check, shared};
use crate::config::{ManagerConfig, StoreChoice};
use crate::failure::ProgramError;
use crate::last_store::{self, StoreMismatch};
use crate::location;
use crate::lock::ManagerLock;
use crate::store_copy::{CopyError, counted, counted_waiting};
use crate::store_mark::{self, MissingRecords};
use crate::stores::Stores;
use longhaul_client::StateDir;
use longhaul_engine::ports::{Clock, NodeHome, Store};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Time limit for opening and reading a store that a program added.
const OPENING: Duration = Duration::from_secs(6);

/// How the user consents to the consequences of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsentMode {
    /// The user has consented to all consequences with the flag `--yes`.
    Given,
    /// The program can ask the user on a terminal.
    Asked,
    /// The program cannot ask the user: there is no terminal, or a flag forbids questions.
    Unasked,
}

impl ConsentMode {
    /// Returns the consent mode that results from the flags and the terminal.
    pub(crate) fn of(yes: bool, no_input: bool) -> Self {
        let can_ask = || !no_input && io::stderr().is_terminal() && io::stdin().is_terminal();
        match yes {
            true => Self::Given,
            false if can_ask() => Self::Asked,
            false => Self::Unasked,
        }
    }
}

/// Binds a store to a state directory. No manager may be using the store. Returns the text to print, which is empty if
/// the user did not consent.
pub(crate) fn store_adopt(
    state_dir: &Path,
    settings: &ManagerConfig,
    stores: &Stores,
    consent: ConsentMode,
    json: bool,
) -> Result<String, ProgramError> {
    let store = &settings.store;
    let found = match store {
        // An in-memory store has no binding, so adopting it only abandons the previous store.
        StoreChoice::Memory => AdoptionState::Unbound,
        StoreChoice::Other(url) if shared::knows(url) => AdoptionState::Unbound,
        StoreChoice::Other(_) => AdoptionState::Bound,
        StoreChoice::Sqlite(path) | StoreChoice::Fs(path) if path.exists() => AdoptionState::Bound,
        StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => AdoptionState::Missing,
    };
    let missing = || CopyError::Missing { store: store.to_string() };
    // If the adoption is refused, it must not have created the state directory.
    if matches!(found, AdoptionState::Missing) && !state_dir.exists() {
        return Err(missing().into());
    }
    let state = StateDir::prepare(state_dir)?;
    let _lock = ManagerLock::take(&state)?;
    let copied = location::copied(&state);
    if let Some(copied) = &copied
        && copied.is_original_at_work()
    {
        return Err(CopyError::OriginalAtWork { original: copied.original.clone() }.into());
    }
    if let Some(copied) = &copied {
        let running = host_check::running_elsewhere(state.path());
        if !running.is_empty() {
            let programs = running.iter().filter_map(|attempt| attempt.command).collect();
            return Err(CopyError::OriginalRunning { original: copied.original.clone(), programs }.into());
        }
    }
    let left = StoreMismatch::found(&state, store);
    // A store may block the thread that opens it, so the runtime has a second thread.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| ProgramError::System { tried: "start the async runtime", source })?;
    let lost_records = match store {
        StoreChoice::Other(url) => runtime.block_on(async {
            let lost = lost_of_added(&state, store, url, stores);
            // If the store does not respond, this is reported later, when the adoption opens the store.
            tokio::time::timeout(OPENING, lost).await.ok().flatten()
        }),
        StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => store_mark::lost(&state, store),
    };
    if matches!(found, AdoptionState::Missing) && left.is_none() && lost_records.is_none() {
        return Err(missing().into());
    }
    if let Some(left) = &left
        && !confirm_leftovers(consent, left)?
    {
        return Ok(String::new());
    }
    if let Some(lost) = lost_records.as_ref().filter(|lost| !lost.live.is_empty())
        && !unrecorded(consent, lost)?
    {
        return Ok(String::new());
    }
    let mut waiting = 0;
    if let Some(copied) = &copied {
        waiting = runtime.block_on(waiting_in(&state, store))?;
        if waiting > 0 && !starts_waiting(consent, waiting, &copied.original)? {
            return Ok(String::new());
        }
        copied.adopt(&state).map_err(ComposeError::from)?;
    }
    let was_so = last_store::is_last(&state, store);
    let lost = match found {
        AdoptionState::Bound => {
            let Some(lost) = runtime.block_on(adopt(&state, settings, stores, consent))? else {
                return Ok(String::new());
            };
            lost
        }
        AdoptionState::Unbound | AdoptionState::Missing => 0,
    };
    store_mark::accept_loss(&state, store, lost_records.as_ref()).map_err(ComposeError::from)?;
    last_store::note(&state, store).map_err(ComposeError::from)?;
    if was_so && lost == 0 && lost_records.is_none() && copied.is_none() && !json {
        return Ok(format!("{store} is already the store of {}\n", state.path().display()));
    }
    let unrecorded = lost_records.map(|lost| live_attempts(state.path(), &lost.live)).unwrap_or_default();
    Ok(report(&state, store, &Adoption { lost, waiting, left: left.as_ref(), unrecorded: &unrecorded }, json))
}

/// The consequences of an adoption.
struct Adoption<'a> {
    /// Number of processes of another state directory that the adoption marks as interrupted.
    lost: usize,
    /// Number of processes that the manager of the copied state directory will start, although the manager of the
    /// original may have started them too.
    waiting: usize,
    /// Previous store of this state directory. `None` if no attempts with records in that store are running.
    left: Option<&'a StoreMismatch>,
    /// Running attempts that may have no record.
    unrecorded: &'a [LiveAttempt],
}

/// State of a store before it is adopted.
enum AdoptionState {
    /// The store cannot be bound to a state directory, because it is shared or in memory.
    Unbound,
    /// The store exists. It is bound to a state directory, or it can be bound to one.
    Bound,
    /// The store does not exist yet.
    Missing,
}

fn report(state: &StateDir, store: &StoreChoice, adoption: &Adoption<'_>, json: bool) -> String {
    let &Adoption { lost, waiting, left, unrecorded } = adoption;
    let left_behind = left.map_or(0, |left| left.live.len());
    if json {
        let place = state.path().to_string_lossy();
        let reported = json!({
            "store": store.to_string(), "state_dir": place, "interrupted": lost, "left": left_behind,
            "waiting": waiting,
            "unrecorded": unrecorded.iter().map(|live| live.id.to_string()).collect::<BTreeSet<_>>(),
            "unrecorded_attempts": unrecorded.iter().map(|live| json!({
                "id": live.id.to_string(), "pid": live.pid, "command": live.command,
                "directory": live.directory.to_string_lossy(),
            })).collect::<Vec<_>>(),
        });
        return format!("{reported:#}\n");
    }
    let warning = match lost {
        0 => String::new(),
        _ => format!(
            "recorded as interrupted: {} of another state directory; processes that still run there continue, and \
             `longhaul doctor` lists them there\n",
            counted(lost)
        ),
    };
    let copied = match waiting {
        0 => String::new(),
        _ => format!("{} of the copied state directory will start here\n", counted_waiting(waiting)),
    };
    let left = left.map_or_else(String::new, |left| {
        format!(
            "{} may have records only in the previous store {}, and would continue without a manager that shows or \
             stops them\n",
            counted(left_behind),
            left.store
        )
    });
    let mut alive: String = unrecorded
        .iter()
        .map(|LiveAttempt { id, pid, command, directory }| {
            let pid = pid.map_or_else(String::new, |pid| format!(" as pid {pid}"));
            let command = if command.is_empty() { String::new() } else { format!(": {command}") };
            format!("{id} is still running{pid} in {} and may have no record{command}\n", directory.display())
        })
        .collect();
    if !unrecorded.is_empty() {
        alive.push_str(
            "end a process without a record with `kill PID`; `longhaul doctor` lists such processes\n",
        );
    }
    format!("{store} is now the store of {}\n{warning}{copied}{left}{alive}", state.path().display())
}

/// Returns the number of processes in a copied store that have not started. The next manager of the store starts them.
async fn waiting_in(state: &StateDir, store: &StoreChoice) -> Result<usize, ProgramError> {
    let failed = |source| CopyError::Store { store: store.to_string(), source };
    let clock = compose::clock(state)?;
    let Some(opened) = compose::movable(store, &clock).await.map_err(failed)? else { return Ok(0) };
    let live = live(opened.as_ref()).await.map_err(failed)?;
    Ok(live.len() - LiveProcess::attempted(&live))
}

/// Returns the records that a store has lost, for a type of store that a program added. Returns `None` if no record is
/// lost or if the store cannot be opened. If the store cannot be opened, the adoption itself reports the reason.
async fn lost_of_added(
    state: &StateDir,
    store: &StoreChoice,
    url: &str,
    stores: &Stores,
) -> Option<MissingRecords> {
    if shared::knows(url) {
        return None;
    }
    let clock = compose::clock(state).ok()?;
    let opened = stores.open(url, &clock, None).await?.ok()?;
    store_mark::lost_of(state, store, opened.as_ref()).await
}

/// Binds the store to the state directory. Returns the number of interrupted processes, or `None` if the user did not
/// consent.
async fn adopt(
    state: &StateDir,
    settings: &ManagerConfig,
    stores: &Stores,
    consent: ConsentMode,
) -> Result<Option<usize>, ProgramError> {
    let (store, node) = (&settings.store, &settings.node);
    let clock = compose::clock(state)?;
    let failed = |source| CopyError::Store { store: store.to_string(), source };
    if let StoreChoice::Other(url) = store {
        let home = StoreBinding::home_of(state).map_err(ComposeError::from)?;
        let missing = || CopyError::Missing { store: store.to_string() };
        let opened = stores.open(url, &clock, Some(home.clone())).await.ok_or_else(missing)?;
        return adopt_by_node(opened.map_err(failed)?.as_ref(), &clock, settings, &home, consent).await;
    }
    // The store stays open until the adoption is complete, so that no other manager can use it.
    let Some(opened) = compose::movable(store, &clock).await.map_err(failed)? else {
        return Err(CopyError::InUse { store: store.to_string(), user: StoreBinding::user(store) }.into());
    };
    let live = live(opened.as_ref()).await.map_err(failed)?;
    let owner = StoreBinding::owner(state, store, &live).map_err(ComposeError::from)?;
    let lost = match &owner {
        WorkOwner::This => 0,
        WorkOwner::Other(_) | WorkOwner::Unknown => LiveProcess::attempted(&live),
    };
    if let WorkOwner::Other(path) = &owner
        && lost > 0
        && path.is_dir()
        && !agreed(consent, lost, path)?
    {
        return Ok(None);
    }
    let mut interrupted = 0;
    if lost > 0 {
        let from = match &owner {
            WorkOwner::Other(path) => Some(path.as_path()),
            WorkOwner::This | WorkOwner::Unknown => None,
        };
        interrupted = hand_over(opened.as_ref(), node, clock.as_ref(), from).await.map_err(failed)?;
    } else if !live.is_empty() {
        release(opened.as_ref(), node).await.map_err(failed)?;
    }
    StoreBinding::adopt(state, store).map_err(ComposeError::from)?;
    Ok(Some(interrupted))
}

/// Like [`adopt`], but for a store of a kind that a program added. Such a store itself records the state directory of
/// each node.
async fn adopt_by_node(
    opened: &dyn Store,
    clock: &Arc<dyn Clock>,
    settings: &ManagerConfig,
    home: &NodeHome,
    consent: ConsentMode,
) -> Result<Option<usize>, ProgramError> {
    let (store, node) = (&settings.store, &settings.node);
    let failed = |source| CopyError::Store { store: store.to_string(), source };
    let known = opened.list_nodes().await.map_err(failed)?;
    let registered =
        known.into_iter().find(|known| known.facts.id == *node).and_then(|known| known.facts.home);
    let lost = match &registered {
        Some(registered) if registered.id == home.id => 0,
        Some(_) | None => LiveProcess::attempted(&live(opened).await.map_err(failed)?),
    };
    let from = registered.as_ref().map(path_of);
    if let Some(other) = &from
        && lost > 0
        && !agreed(consent, lost, other)?
    {
        return Ok(None);
    }
    let handed = match lost {
        0 => release(opened, node).await.map(|()| 0),
        _ => hand_over(opened, node, clock.as_ref(), from.as_deref()).await,
    };
    handed.map(Some).map_err(|source| failed(source).into())
}

fn agreed(consent: ConsentMode, running: usize, owner: &Path) -> Result<bool, ProgramError> {
    let question = format!(
        "{} still has {}, which would be marked as interrupted. Adopt the store anyway? [y/N] ",
        owner.display(),
        counted(running)
    );
    let unasked = || CopyError::Unconfirmed { running, state_dir: owner.to_owned() };
    consent.to(&question, unasked)
}

/// Asks the user to allow the start of waiting processes in a copied state directory. The original may have started
/// these processes as well.
fn starts_waiting(consent: ConsentMode, waiting: usize, original: &Path) -> Result<bool, ProgramError> {
    let question = format!(
        "{} of this copy would start here, even if {} has started them already. Adopt the copy? [y/N] ",
        counted_waiting(waiting),
        original.display()
    );
    consent.to(&question, || CopyError::WaitingInCopy { waiting, original: original.to_owned() })
}

/// Asks the user to allow that running attempts continue without a record, because their records are in the previous
/// store.
fn confirm_leftovers(consent: ConsentMode, left: &StoreMismatch) -> Result<bool, ProgramError> {
    let live = left.live.len();
    let question = format!(
        "{} of this state directory may have records only in {} and would continue without a record. Abandon that \
         store? [y/N] ",
        counted(live),
        left.store
    );
    consent.to(&question, || CopyError::Unwatched { live, last: left.store.clone() })
}

/// Asks the user to allow that running attempts continue without a record, because their records are lost.
fn unrecorded(consent: ConsentMode, lost: &MissingRecords) -> Result<bool, ProgramError> {
    let live = lost.live.len();
    let question = format!(
        "{lost}. {} may have no record, so no manager would show them. Accept the loss? [y/N] ",
        counted(live)
    );
    consent.to(&question, || CopyError::Unrecorded { live, store: lost.store.clone() })
}

impl ConsentMode {
    /// Asks the user a question and returns true if the answer is yes. If the user cannot be asked, returns the error
    /// `unasked`.
    fn to(self, question: &str, unasked: impl FnOnce() -> CopyError) -> Result<bool, ProgramError> {
        match self {
            Self::Given => Ok(true),
            Self::Unasked => Err(unasked().into()),
            Self::Asked => {
                let mut answer = String::new();
                io::stderr()
                    .write_all(question.as_bytes())
                    .and_then(|()| io::stdin().read_line(&mut answer))
                    .map_err(|source| ProgramError::System { tried: "ask for confirmation", source })?;
                Ok(is_yes(&answer))
            }
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Y", " yes \n", "YES"].into_iter().all(is_yes));
        assert!(["", "\n", "n\n", "no", "yesterday"].into_iter().all(|answer| !is_yes(answer)));
    }
}
