//! Which state directory a store belongs to.
//!
//! A store tells of attempts that only one state directory can find again. Under another one, whatever lives would be
//! called interrupted. So each state directory has a random id, which moves with it, and a small file at the store
//! names the one whose work it holds.

use crate::compose::{ComposeError, IDS};
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use crate::lock::{LOCK, LockHolder};
use crate::state_dir::StateDir;
use longhaul_domain::{NodeId, Process, ProcessId, Status, Work};
use longhaul_engine::ports::{
    Clock, IdSource, Lease, NodeDescriptor, NodeHome, PageRequest, ProcessFilter, Store, StoreError,
};
use longhaul_failpoint::failpoint;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The id of a state directory, in it.
const ID: &str = "state_id";
/// The binding of a store, in its directory or as the ending of its file.
const NAME: &str = "state";
/// No file that we wrote is longer.
const MAX_FILE_LEN: u64 = 8 * 1024;
/// So many characters has an id.
const ID_LENGTH: usize = 36;
/// So many processes are looked at at once.
const PAGE: u32 = 500;

/// What a store says about the state directory that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreBinding {
    id: String,
    /// Where it was when it used the store last.
    path: PathBuf,
}

/// What stands in the file of a store.
enum BindingContent {
    /// There is no such file.
    Nothing,
    /// Something that no manager wrote as a whole.
    Garbled,
    /// Whose work it holds.
    Of(StoreBinding),
}

/// Whose work a store holds, as seen from one state directory.
#[derive(Debug)]
pub(crate) enum WorkOwner {
    /// Its own.
    This,
    /// That of another one, which was there when it used the store last.
    Other(PathBuf),
    /// It is not known.
    Unknown,
}

/// A process that has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveProcess {
    id: ProcessId,
    /// Whether an attempt of it may live, which its state directory alone can find.
    is_attempted: bool,
}

/// The binding that a state directory gives.
struct OwnBinding {
    binding: StoreBinding,
    /// Whether it had an id that could not be used, and has another one now.
    was_damaged: bool,
}

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used", path.display())]
pub(crate) struct UnusableFile {
    /// Which.
    pub(crate) path: PathBuf,
    /// Why.
    #[source]
    pub(crate) source: io::Error,
}

impl StoreBinding {
    /// Lets a store serve a state directory, if nothing lives in it that another one started. Nobody else may use the
    /// store meanwhile.
    pub(crate) async fn check(
        state: &StateDir,
        choice: &StoreChoice,
        store: &dyn Store,
        node: &NodeId,
    ) -> Result<(), ComposeError> {
        let Some(file) = file_of(choice) else {
            return Ok(());
        };
        let OwnBinding { binding: mine, was_damaged } = Self::of(state)?;
        // A store in its very directory needs no file to belong to it, so none that is lost or damaged locks it out.
        let is_home = is_home(&mine.path, choice);
        let said = match Self::read(&file) {
            Err(error) if is_home && !error.is_directory() => {
                tracing::warn!("{error}: {}", error.source);
                BindingContent::Garbled
            }
            said => said?,
        };
        let failed = |source| ComposeError::Store { store: choice.to_string(), source };
        let (is_mine, state_dir) = match said {
            BindingContent::Of(found) if found == mine => return Ok(()),
            BindingContent::Of(found) if found.id == mine.id => {
                // It was moved. The path is for people only, and a full disk is no reason to stay away.
                let _ = mine.write(&file);
                return Ok(());
            }
            BindingContent::Of(found) if found.path == mine.path => (is_home || was_damaged, None),
            BindingContent::Of(found) => (false, Some(found.path)),
            BindingContent::Garbled | BindingContent::Nothing if !is_home => (false, None),
            said @ (BindingContent::Garbled | BindingContent::Nothing) => {
                let is_mine = is_at_home(state, &live(store).await.map_err(failed)?);
                if is_mine && matches!(said, BindingContent::Garbled) {
                    tracing::warn!("{} does not say whose the store is: it is written anew", file.display());
                }
                (is_mine, None)
            }
        };
        match live(store).await.map_err(failed)?.first() {
            Some(LiveProcess { id, .. }) if !is_mine => {
                return Err(ComposeError::Foreign { store: choice.to_string(), live: *id, state_dir });
            }
            // The store may know this directory by an id that it has lost.
            Some(_) => release(store, node).await.map_err(failed)?,
            None => {}
        }
        match mine.write(&file) {
            Err(error) if is_mine && !error.is_directory() => {
                tracing::warn!("{error}: {}", error.source);
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// Whose work is in a store that has these processes.
    pub(crate) fn owner(
        state: &StateDir,
        choice: &StoreChoice,
        live: &[LiveProcess],
    ) -> Result<WorkOwner, UnusableFile> {
        let Some(file) = file_of(choice) else {
            return Ok(WorkOwner::Unknown);
        };
        let mine = Self::of(state)?.binding;
        Ok(match Self::read(&file) {
            Ok(BindingContent::Of(found)) if found.id == mine.id || found.path == mine.path => {
                WorkOwner::This
            }
            Ok(BindingContent::Of(found)) => WorkOwner::Other(found.path),
            Err(error) if error.is_directory() => return Err(error),
            Ok(BindingContent::Nothing | BindingContent::Garbled) | Err(_) if is_at_home(state, live) => {
                WorkOwner::This
            }
            Ok(BindingContent::Nothing | BindingContent::Garbled) | Err(_) => WorkOwner::Unknown,
        })
    }

    /// Gives a store to a state directory, whatever lives in it.
    pub(crate) fn adopt(state: &StateDir, choice: &StoreChoice) -> Result<(), UnusableFile> {
        let Some(file) = file_of(choice) else {
            return Ok(());
        };
        Self::of(state)?.binding.write(&file)
    }

    /// Says of a copy what the original says of itself.
    pub(crate) fn copy(from: &StoreChoice, to: &StoreChoice) -> Result<(), UnusableFile> {
        let (Some(from), Some(to)) = (file_of(from), file_of(to)) else {
            return Ok(());
        };
        match Self::read(&from)? {
            BindingContent::Of(binding) => binding.write(&to),
            BindingContent::Nothing | BindingContent::Garbled => Ok(()),
        }
    }

    /// Who uses a store that is in use, as far as that is known.
    pub(crate) fn user(choice: &StoreChoice) -> String {
        let Some(Ok(BindingContent::Of(Self { path, .. }))) = file_of(choice).map(|file| Self::read(&file))
        else {
            return "another manager".to_owned();
        };
        match File::open(path.join(LOCK)) {
            Ok(mut lock) => format!("the manager of {}: {}", path.display(), LockHolder::read(&mut lock)),
            Err(_) => format!("the manager of {}", path.display()),
        }
    }

    /// Gives a state directory a new id, if it has the same as another one.
    pub(crate) fn part(state: &StateDir, other: &Path) -> Result<(), UnusableFile> {
        let file = state.path().join(ID);
        let theirs = noted(&other.join(ID));
        if theirs.is_none() || theirs != noted(&file) {
            return Ok(());
        }
        let id = random_id();
        replace(&file, &format!("{id}\n")).map_err(|source| UnusableFile { path: file, source })
    }

    /// What a node that works from this state directory tells the store. The directory gets an id if it has none.
    pub(crate) fn home_of(state: &StateDir) -> Result<NodeHome, UnusableFile> {
        let Self { id, path } = Self::of(state)?.binding;
        Ok(NodeHome { id, place: format!("{}{}", path.display(), on_this_machine()) })
    }

    /// What a store of this state directory says; the directory gets an id if it has none that can be used.
    fn of(state: &StateDir) -> Result<OwnBinding, UnusableFile> {
        let file = state.path().join(ID);
        let path = fs::canonicalize(state.path()).unwrap_or_else(|_| state.path().to_owned());
        let failed = |source| UnusableFile { path: file.clone(), source };
        let text = match text_of(&file) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Err(failed(error)),
            // Whatever keeps it from being read, it can be replaced.
            Err(_) => Some(String::new()),
            Ok(text) => text,
        };
        if let Some(id) = text.as_deref().map(str::trim).filter(|id| is_id(id)) {
            return Ok(OwnBinding { binding: Self { id: id.to_owned(), path }, was_damaged: false });
        }
        let was_damaged = text.is_some();
        if was_damaged {
            tracing::warn!("{} holds no id: the state directory gets a new one", file.display());
        }
        let id = random_id();
        replace(&file, &format!("{id}\n")).map_err(failed)?;
        Ok(OwnBinding { binding: Self { id, path }, was_damaged })
    }

    fn read(file: &Path) -> Result<BindingContent, UnusableFile> {
        let text = text_of(file).map_err(|source| UnusableFile { path: file.to_owned(), source })?;
        let Some(text) = text else {
            return Ok(BindingContent::Nothing);
        };
        let rest = text.strip_prefix("state=").and_then(|rest| rest.split_once("\npath="));
        Ok(match rest.map(|(id, path)| (id, path.trim_end_matches('\n'))) {
            Some((id, path)) if is_id(id) && path.starts_with('/') => {
                BindingContent::Of(Self { id: id.to_owned(), path: path.into() })
            }
            Some(_) | None => BindingContent::Garbled,
        })
    }

    fn write(&self, file: &Path) -> Result<(), UnusableFile> {
        let text = format!("state={}\npath={}\n", self.id, self.path.display());
        replace(file, &text).map_err(|source| UnusableFile { path: file.to_owned(), source })
    }
}

impl UnusableFile {
    /// Whether a directory has its place, which nobody takes away unasked.
    pub(crate) fn is_directory(&self) -> bool {
        self.source.kind() == io::ErrorKind::IsADirectory
    }
}

/// Whether a store lies in this state directory, and in no other one that lies in it.
fn is_home(state_dir: &Path, choice: &StoreChoice) -> bool {
    let place = match choice {
        StoreChoice::Memory | StoreChoice::Other(_) => return false,
        StoreChoice::Sqlite(path) | StoreChoice::Fs(path) => fs::canonicalize(path),
    };
    place.is_ok_and(|place| {
        let mut around = place.ancestors().skip(1);
        around.find(|dir| *dir == state_dir || dir.join(LOCK).exists()) == Some(state_dir)
    })
}

/// Whether a state directory knows an attempt of these processes, if they have any: a store that was put in it alone
/// left its attempts behind.
fn is_at_home(state: &StateDir, live: &[LiveProcess]) -> bool {
    let attempts = state.path().join(ATTEMPTS);
    let mut attempted = live.iter().filter(|live| live.is_attempted).peekable();
    attempted.peek().is_none() || attempted.any(|live| attempts.join(live.id.to_string()).exists())
}

/// Where a store says it; none for one that is kept nowhere.
fn file_of(choice: &StoreChoice) -> Option<PathBuf> {
    match choice {
        // Another kind of store knows by itself whom it serves.
        StoreChoice::Memory | StoreChoice::Other(_) => None,
        StoreChoice::Sqlite(path) => Some(with_ending(path, NAME)),
        StoreChoice::Fs(path) => Some(path.join(NAME)),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".");
    name.push(ending);
    name.into()
}

/// The state directory of a home, without the name of the machine where that is this one.
pub(crate) fn path_of(home: &NodeHome) -> PathBuf {
    home.place.strip_suffix(&on_this_machine()).unwrap_or(&home.place).into()
}

fn on_this_machine() -> String {
    format!(" on {}", rustix::system::uname().nodename().to_string_lossy())
}

/// Lets any state directory have the name of this node, also while the node owns processes. Whoever works under that
/// name loses it.
pub(crate) async fn release<S: Store + ?Sized>(store: &S, node: &NodeId) -> Result<(), StoreError> {
    let lease = unhoused(store, node).await?;
    store.leave(&lease).await
}

/// The same where the name passes from another state directory, which alone finds its live attempts.
pub(crate) async fn hand_over<S: Store + ?Sized>(
    store: &S,
    node: &NodeId,
    clock: &dyn Clock,
    from: Option<&Path>,
) -> Result<usize, StoreError> {
    let from = from.map_or_else(|| "another state directory".to_owned(), |path| path.display().to_string());
    let lease = unhoused(store, node).await?;
    let interrupted = longhaul_engine::interrupt_attempts(store, clock, &IDS, &lease, &from).await?;
    store.leave(&lease).await?;
    Ok(interrupted)
}

/// Takes the name of a node for no state directory.
async fn unhoused<S: Store + ?Sized>(store: &S, node: &NodeId) -> Result<Lease, StoreError> {
    let facts = NodeDescriptor {
        id: node.clone(),
        home: None,
        boot: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    store.register(&facts).await
}

/// The processes that have not ended.
pub(crate) async fn live<S: Store + ?Sized>(store: &S) -> Result<Vec<LiveProcess>, StoreError> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let filter = ProcessFilter { statuses, ..ProcessFilter::default() };
    let mut page = PageRequest { order: Default::default(), after: None, most: PAGE };
    let mut live = Vec::new();
    loop {
        let listing = store.list(&filter, &page).await?.whole()?;
        live.extend(listing.processes.iter().map(|stored| LiveProcess::of(&stored.process)));
        page.after = listing.next;
        if page.after.is_none() {
            return Ok(live);
        }
    }
}

impl LiveProcess {
    fn of(process: &Process) -> Self {
        let is_command = matches!(process.spec.work, Work::Command(_));
        Self { id: process.id, is_attempted: is_command && process.status() != Status::Pending }
    }

    /// How many of these would be called interrupted where their attempts are not found.
    pub(crate) fn attempted(live: &[Self]) -> usize {
        live.iter().filter(|live| live.is_attempted).count()
    }
}

fn random_id() -> String {
    IDS.op().as_uuid().to_string()
}

/// Whether it has the form of an id that we made.
fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// What stands in a small file, nothing if that is not from us; none if there is no such file.
pub(crate) fn text_of(path: &Path) -> io::Result<Option<String>> {
    // Nothing is followed, and a pipe would be waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => return Ok(Some(String::new())),
        Err(errno) => return Err(errno.into()),
    };
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() || found.len() > MAX_FILE_LEN {
        return Ok(Some(String::new()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_LEN).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The line that a note of a state directory holds; none if there is no note, or it is damaged.
pub(crate) fn noted(path: &Path) -> Option<String> {
    let text = text_of(path).ok()??;
    let line = text.strip_suffix('\n')?;
    (!line.is_empty()).then(|| line.to_owned())
}

/// Notes one line, unless it stands there.
pub(crate) fn note(path: PathBuf, line: &str) -> Result<(), UnusableFile> {
    if noted(&path).as_deref() == Some(line) {
        return Ok(());
    }
    replace(&path, &format!("{line}\n")).map_err(|source| UnusableFile { path, source })
}

/// Replaces a small file, whole or not at all, and durably.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = with_ending(path, "tmp");
    // One that a crash left behind; a link in its place leads elsewhere.
    match fs::remove_file(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    failpoint!("app.binding.write")?;
    file.write_all(text.as_bytes())?;
    failpoint!("app.binding.sync")?;
    file.sync_all()?;
    failpoint!("app.binding.rename")?;
    fs::rename(&draft, path)?;
    failpoint!("app.binding.directory")?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn link_in_the_place_of_a_small_file_is_neither_read_nor_written_through() {
        let top = tempfile::tempdir().unwrap();
        let (file, precious) = (top.path().join("note"), top.path().join("precious"));
        fs::write(&precious, "other\n").unwrap();
        symlink(&precious, &file).unwrap();
        assert_eq!(noted(&file), None);
        symlink(&precious, with_ending(&file, "tmp")).unwrap();
        note(file.clone(), "own").unwrap();
        assert_eq!(noted(&file).as_deref(), Some("own"));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "other\n");
    }
}
