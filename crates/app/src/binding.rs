//! Which state directory a store belongs to.
//!
//! A store tells of attempts that only one state directory can find again. Under another one, whatever lives would be
//! called interrupted. So each state directory has a random id, which moves with it, and a small file at the store
//! names the one whose work it holds.

use crate::compose::{self, ComposeError};
use crate::config::StoreChoice;
use crate::lock::{Holder, LOCK};
use crate::state_dir::StateDir;
use longhaul_domain::{ProcessId, Status};
use longhaul_engine::ports::{Filter, PageAsk, Store, StoreError};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The id of a state directory, in it.
const ID: &str = "state_id";
/// The binding of a store, in its directory or as the ending of its file.
const NAME: &str = "state";
/// No file that we wrote is longer.
const LONGEST: usize = 8 * 1024;

/// What a store says about the state directory that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    id: String,
    /// Where it was when it used the store last.
    path: PathBuf,
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

impl Binding {
    /// Lets a store serve a state directory, if nothing lives in it that another one started. Nobody else may use the
    /// store meanwhile.
    pub(crate) async fn check(
        state: &StateDir,
        choice: &StoreChoice,
        store: &dyn Store,
    ) -> Result<(), ComposeError> {
        let Some(file) = file_of(choice) else {
            return Ok(());
        };
        let mine = Self::of(state)?;
        let found = Self::read(&file)?;
        if found.as_ref() == Some(&mine) {
            return Ok(());
        }
        if found.as_ref().is_some_and(|found| found.id == mine.id) {
            // It was moved. The path is for people only, and a full disk is no reason to stay away.
            let _ = mine.write(&file);
            return Ok(());
        }
        let failed = |source| ComposeError::Store { store: choice.to_string(), source };
        if let Some(live) = live(store).await.map_err(failed)? {
            let state_dir = found.map(|found| found.path);
            return Err(ComposeError::Foreign { store: choice.to_string(), live, state_dir });
        }
        Ok(mine.write(&file)?)
    }

    /// Gives a store to a state directory, whatever lives in it.
    pub(crate) fn adopt(state: &StateDir, choice: &StoreChoice) -> Result<(), UnusableFile> {
        let Some(file) = file_of(choice) else {
            return Ok(());
        };
        Self::of(state)?.write(&file)
    }

    /// Says of a copy what the original says of itself.
    pub(crate) fn copy(from: &StoreChoice, to: &StoreChoice) -> Result<(), UnusableFile> {
        let (Some(from), Some(to)) = (file_of(from), file_of(to)) else {
            return Ok(());
        };
        match Self::read(&from)? {
            Some(binding) => binding.write(&to),
            None => Ok(()),
        }
    }

    /// Who uses a store that is in use, as far as that is known.
    pub(crate) fn user(choice: &StoreChoice) -> String {
        let found = file_of(choice).and_then(|file| Self::read(&file).ok().flatten());
        let Some(Self { path, .. }) = found else {
            return "another manager".to_owned();
        };
        match File::open(path.join(LOCK)) {
            Ok(mut lock) => format!("the manager of {}: {}", path.display(), Holder::read(&mut lock)),
            Err(_) => format!("the manager of {}", path.display()),
        }
    }

    /// What a store of this state directory says; the directory gets an id if it has none.
    fn of(state: &StateDir) -> Result<Self, UnusableFile> {
        let path = state.path().join(ID);
        let failed = |source| UnusableFile { path: path.clone(), source };
        let id = match text_of(&path).map_err(failed)? {
            Some(id) if !id.trim().is_empty() => id.trim().to_owned(),
            Some(_) | None => {
                let id = compose::random_id();
                replace(&path, &format!("{id}\n")).map_err(failed)?;
                id
            }
        };
        let path = fs::canonicalize(state.path()).unwrap_or_else(|_| state.path().to_owned());
        Ok(Self { id, path })
    }

    fn read(file: &Path) -> Result<Option<Self>, UnusableFile> {
        let text = text_of(file)
            .map_err(|source| UnusableFile { path: file.to_owned(), source })?
            .unwrap_or_default();
        let rest = text.strip_prefix("state=").and_then(|rest| rest.split_once("\npath="));
        Ok(rest.map(|(id, path)| Self { id: id.to_owned(), path: path.trim_end_matches('\n').into() }))
    }

    fn write(&self, file: &Path) -> Result<(), UnusableFile> {
        let text = format!("state={}\npath={}\n", self.id, self.path.display());
        replace(file, &text).map_err(|source| UnusableFile { path: file.to_owned(), source })
    }
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

/// One process that has not ended, if there is any.
async fn live(store: &dyn Store) -> Result<Option<ProcessId>, StoreError> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let filter = Filter { statuses, ..Filter::default() };
    let mut page = PageAsk { order: Default::default(), after: None, most: 1 };
    loop {
        let listing = store.list(&filter, &page).await?;
        if let Some(stored) = listing.processes.first() {
            return Ok(Some(stored.process.id));
        }
        page.after = listing.next;
        if page.after.is_none() {
            return Ok(None);
        }
    }
}

/// What stands in a small file; none if there is no such file.
fn text_of(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) if bytes.len() > LONGEST => Ok(Some(String::new())),
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a small file, whole or not at all, and durably.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = with_ending(path, "tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
