//! The binding of a store to the state directory that the processes in the store belong to.
//!
//! A store contains records of attempts, and only one state directory contains the files of these attempts. If a
//! manager of another state directory used the store, it would mark the running attempts as interrupted. Each state
//! directory therefore has a random id, which stays the same if the directory is moved. A small file next to the store
//! contains the id of the state directory that the store belongs to.

use crate::compose::{ComposeError, IDS};
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use crate::lock::{LOCK, LockHolder};
use longhaul_client::StateDir;
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

/// Name of the file that contains the id of a state directory, inside that directory.
const ID: &str = "state_id";
/// Name of the binding file. In a file store, this is its name in the directory of the store. For a database, it is an
/// extension that is added to the path of the database.
const NAME: &str = "state";
/// Maximum size in bytes of a file that this module reads. Larger files were not written by longhaul.
const MAX_FILE_LEN: u64 = 8 * 1024;
/// Length of the id of a state directory, in characters.
const ID_LENGTH: usize = 36;
/// Number of processes in one page of a listing.
const PAGE: u32 = 500;

/// Content of a binding file: the state directory that a store belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreBinding {
    id: String,
    /// Path that the state directory had when it last used the store.
    path: PathBuf,
}

/// Result of reading a binding file.
enum BindingContent {
    /// The binding file does not exist.
    Nothing,
    /// The binding file is damaged or was not written by longhaul.
    Garbled,
    Of(StoreBinding),
}

/// The owner of the processes in a store, from the point of view of one state directory.
#[derive(Debug)]
pub(crate) enum WorkOwner {
    /// The processes belong to this state directory.
    This,
    /// The processes belong to another state directory, which had this path when it last used the store.
    Other(PathBuf),
    /// The owner of the processes is unknown.
    Unknown,
}

/// A process in a store that has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveProcess {
    id: ProcessId,
    /// True if an attempt of the process may still be running. Only the state directory that started the attempt can
    /// find it.
    is_attempted: bool,
}

/// The binding of the state directory of this manager.
struct OwnBinding {
    binding: StoreBinding,
    /// True if the id file of the directory was unusable, so that the directory has now received a new id.
    was_damaged: bool,
}

/// Error for a file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the file {} cannot be used", path.display())]
pub(crate) struct UnusableFile {
    pub(crate) path: PathBuf,
    #[source]
    pub(crate) source: io::Error,
}

impl StoreBinding {
    /// Binds a store to a state directory. Fails if the store has live processes of another state directory. No other
    /// program may use the store during this call.
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
        // A store inside the state directory belongs to this directory even without a binding file. A lost or damaged
        // binding file must therefore not make the store unusable.
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
                // The state directory was moved. The path in the binding is for display only, so a failed write (such
                // as on a full disk) is ignored.
                let _ = mine.write(&file);
                return Ok(());
            }
            BindingContent::Of(found) if found.path == mine.path => (is_home || was_damaged, None),
            BindingContent::Of(found) => (false, Some(found.path)),
            BindingContent::Garbled | BindingContent::Nothing if !is_home => (false, None),
            said @ (BindingContent::Garbled | BindingContent::Nothing) => {
                let is_mine = is_at_home(state, &live(store).await.map_err(failed)?);
                if is_mine && matches!(said, BindingContent::Garbled) {
                    tracing::warn!(
                        "the file {} does not name the state directory that owns the store; the manager \
                                    rewrites the file",
                        file.display()
                    );
                }
                (is_mine, None)
            }
        };
        match live(store).await.map_err(failed)?.first() {
            Some(LiveProcess { id, .. }) if !is_mine => {
                return Err(ComposeError::Foreign { store: choice.to_string(), live: *id, state_dir });
            }
            // The store may have registered the node with an id that this state directory has lost, so the node name is
            // released first.
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

    /// Returns the owner of the live processes of a store.
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

    /// Binds a store to a state directory without checking the store for live processes.
    pub(crate) fn adopt(state: &StateDir, choice: &StoreChoice) -> Result<(), UnusableFile> {
        let Some(file) = file_of(choice) else {
            return Ok(());
        };
        Self::of(state)?.binding.write(&file)
    }

    /// Copies the binding of one store to another store.
    pub(crate) fn copy(from: &StoreChoice, to: &StoreChoice) -> Result<(), UnusableFile> {
        let (Some(from), Some(to)) = (file_of(from), file_of(to)) else {
            return Ok(());
        };
        match Self::read(&from)? {
            BindingContent::Of(binding) => binding.write(&to),
            BindingContent::Nothing | BindingContent::Garbled => Ok(()),
        }
    }

    /// Describes the manager that uses a store, as far as this manager is known.
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

    /// Gives a state directory a new id if the state directory `other` has the same id.
    pub(crate) fn part(state: &StateDir, other: &Path) -> Result<(), UnusableFile> {
        let file = state.path().join(ID);
        let theirs = noted(&other.join(ID));
        if theirs.is_none() || theirs != noted(&file) {
            return Ok(());
        }
        let id = random_id();
        replace(&file, &format!("{id}\n")).map_err(|source| UnusableFile { path: file, source })
    }

    /// Returns the description of the state directory that a node registers in the store. Creates the id of the
    /// directory if it has none.
    pub(crate) fn home_of(state: &StateDir) -> Result<NodeHome, UnusableFile> {
        let Self { id, path } = Self::of(state)?.binding;
        Ok(NodeHome { id, place: format!("{}{}", path.display(), on_this_machine()) })
    }

    /// Returns the binding for this state directory. Creates an id for the directory if it has no usable one.
    fn of(state: &StateDir) -> Result<OwnBinding, UnusableFile> {
        let file = state.path().join(ID);
        let path = fs::canonicalize(state.path()).unwrap_or_else(|_| state.path().to_owned());
        let failed = |source| UnusableFile { path: file.clone(), source };
        let text = match text_of(&file) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Err(failed(error)),
            // An unreadable file may be replaced, no matter why it is unreadable.
            Err(_) => Some(String::new()),
            Ok(text) => text,
        };
        if let Some(id) = text.as_deref().map(str::trim).filter(|id| is_id(id)) {
            return Ok(OwnBinding { binding: Self { id: id.to_owned(), path }, was_damaged: false });
        }
        let was_damaged = text.is_some();
        if was_damaged {
            tracing::warn!(
                "the file {} contains no valid id; the state directory receives a new id",
                file.display()
            );
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
    /// Returns true if the path is a directory. A directory is never replaced automatically.
    pub(crate) fn is_directory(&self) -> bool {
        self.source.kind() == io::ErrorKind::IsADirectory
    }
}

/// Returns true if a store is inside this state directory, unless the store is inside a nested state directory.
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

/// Returns true if the state directory contains an attempt directory of at least one of these processes, or if none of
/// the processes has had an attempt. Returns false for a store that was moved into the state directory without its
/// attempt directories.
fn is_at_home(state: &StateDir, live: &[LiveProcess]) -> bool {
    let attempts = state.path().join(ATTEMPTS);
    let mut attempted = live.iter().filter(|live| live.is_attempted).peekable();
    attempted.peek().is_none() || attempted.any(|live| attempts.join(live.id.to_string()).exists())
}

/// Returns the path of the binding file for a store. Returns `None` for a store without files on this machine.
fn file_of(choice: &StoreChoice) -> Option<PathBuf> {
    match choice {
        // Stores of other kinds record the state directory of each node themselves.
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

/// Returns the path of a registered state directory. If the directory is on another machine, the path ends with the
/// name of that machine.
pub(crate) fn path_of(home: &NodeHome) -> PathBuf {
    home.place.strip_suffix(&on_this_machine()).unwrap_or(&home.place).into()
}

fn on_this_machine() -> String {
    format!(" on {}", rustix::system::uname().nodename().to_string_lossy())
}

/// Releases the name of this node even if the node owns processes, so that any state directory can register the name. A
/// manager that currently uses the name loses it.
pub(crate) async fn release<S: Store + ?Sized>(store: &S, node: &NodeId) -> Result<(), StoreError> {
    let lease = unhoused(store, node).await?;
    store.leave(&lease).await
}

/// Releases the name of a node, so that the name can move to another state directory. Before that, marks the live
/// attempts as interrupted, because only the old state directory can find them. Returns the number of interrupted
/// attempts.
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

/// Registers the name of a node without a state directory. The store always accepts such a registration.
async fn unhoused<S: Store + ?Sized>(store: &S, node: &NodeId) -> Result<Lease, StoreError> {
    let facts = NodeDescriptor {
        id: node.clone(),
        home: None,
        boot: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    store.register(&facts).await
}

/// Returns the processes in a store that have not ended.
pub(crate) async fn live<S: Store + ?Sized>(store: &S) -> Result<Vec<LiveProcess>, StoreError> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let filter = ProcessFilter { statuses, ..ProcessFilter::default() };
    let mut page = PageRequest { order: Default::default(), after: None, limit: PAGE };
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

    /// Returns how many of these processes become interrupted if their attempts are not found.
    pub(crate) fn attempted(live: &[Self]) -> usize {
        live.iter().filter(|live| live.is_attempted).count()
    }
}

fn random_id() -> String {
    IDS.op().as_uuid().to_string()
}

/// Returns true if the text has the form of a generated state directory id.
fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Returns the content of a small file. Returns an empty string if longhaul cannot have written the file, and `None` if
/// the file does not exist.
pub(crate) fn text_of(path: &Path) -> io::Result<Option<String>> {
    // Symbolic links are not followed. NONBLOCK prevents the opening of a named pipe from blocking.
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

/// Returns the only line of a small file in a state directory. Returns `None` if the file is missing or damaged.
pub(crate) fn noted(path: &Path) -> Option<String> {
    let text = text_of(path).ok()??;
    let line = text.strip_suffix('\n')?;
    (!line.is_empty()).then(|| line.to_owned())
}

/// Writes one line to a small file, unless the file already contains this line.
pub(crate) fn note(path: PathBuf, line: &str) -> Result<(), UnusableFile> {
    if noted(&path).as_deref() == Some(line) {
        return Ok(());
    }
    replace(&path, &format!("{line}\n")).map_err(|source| UnusableFile { path, source })
}

/// Replaces a small file atomically and durably.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = with_ending(path, "tmp");
    // A crash may have left a draft file behind, and a link at this path would redirect the write. Any file at this
    // path is therefore removed first.
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
