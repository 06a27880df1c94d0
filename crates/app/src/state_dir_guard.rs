//! Detects that a manager has lost its state directory or its store.
//!
//! After the directory was removed, moved or replaced, its path no longer leads to the lock that this manager holds.
//! Another manager may then serve that path, so this manager must exit. From then on, this manager acknowledges no
//! requests. Its processes keep running, and the next manager of the original directory finds them.
//!
//! A store that was removed, replaced or truncated is lost in the same way, even if the directory still exists: no
//! other manager would find new writes.

mod checked_store;
mod path_watcher;

pub(crate) use checked_store::CheckedStore;
pub(crate) use path_watcher::POLL_INTERVAL;

use crate::compose::MAX_WAL_BYTES;
use crate::config::StoreChoice;
use crate::lock::{LOCK, ManagerLock};
use longhaul_client::StateDir;
use path_watcher::PathWatcher;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Suffix of a database's write-ahead log. Only this file contains the newest commits.
const JOURNAL: &str = "-wal";

/// Guard for a manager's lock and the files of its store. For each of them, it has the path at which other programs
/// look for the file. Clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct StateDirGuard {
    lock: Arc<GuardedFile>,
    store: Arc<OnceLock<Vec<GuardedFile>>>,
    lost: Arc<watch::Sender<Option<LostResource>>>,
    path_watcher: Arc<PathWatcher>,
    looked: Arc<watch::Sender<()>>,
}

/// A resource that a manager has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LostResource {
    /// The state directory was removed, moved or replaced.
    StateDir,
    /// A file or directory of the store was truncated or is no longer at this path. Other managers would therefore not
    /// find new writes.
    Store(PathBuf),
}

/// A file that the manager has open, with the path at which other programs look for the file.
#[derive(Debug)]
struct GuardedFile {
    path: PathBuf,
    place: Inode,
    /// Minimum length of the file. A shorter file counts as truncated. `None` for a directory, and for a file that may
    /// shrink.
    length: Option<MinLength>,
}

/// The largest observed length of a file, up to a maximum. If the file is now shorter, it was truncated.
#[derive(Debug)]
struct MinLength {
    kept: AtomicU64,
    limit: u64,
}

/// Identity of a file, which does not depend on its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl StateDirGuard {
    /// Creates the guard for a state directory and the lock on it.
    pub(crate) fn of(state: &StateDir, lock: &ManagerLock) -> io::Result<Self> {
        Self::hearing_by(PathWatcher::open(), state, lock)
    }

    fn hearing_by(path_watcher: PathWatcher, state: &StateDir, lock: &ManagerLock) -> io::Result<Self> {
        let place = Inode::of(rustix::fs::fstat(lock)?);
        let lock = Arc::new(GuardedFile { path: state.path().join(LOCK), place, length: None });
        path_watcher.guard(&lock.path);
        Ok(Self {
            lock,
            store: Arc::default(),
            lost: Arc::new(watch::Sender::new(None)),
            path_watcher: Arc::new(path_watcher),
            looked: Arc::default(),
        })
    }

    /// Adds a store to the guarded files. The store must have been opened just before. Only the first call has an
    /// effect.
    pub(crate) fn watch_store(&self, choice: &StoreChoice) -> io::Result<()> {
        let held = match choice {
            StoreChoice::Memory | StoreChoice::Other(_) => Vec::new(),
            StoreChoice::Fs(path) => vec![GuardedFile::at(path)?],
            StoreChoice::Sqlite(path) => {
                let mut journal = path.clone().into_os_string();
                journal.push(JOURNAL);
                let mut held = vec![GuardedFile::min_length(path, u64::MAX)?];
                held.extend(GuardedFile::min_length(Path::new(&journal), MAX_WAL_BYTES));
                held
            }
        };
        held.iter().for_each(|held| self.path_watcher.guard(&held.path));
        let _ = self.store.set(held);
        Ok(())
    }

    /// Watches an additional path. A change of this path triggers an inspection, but does not count as a loss.
    pub(crate) fn watch_path(&self, path: &Path) {
        self.path_watcher.guard(path);
    }

    /// Returns a channel that is notified of each inspection by [`lost`](Self::lost).
    pub(crate) fn check_signal(&self) -> watch::Receiver<()> {
        self.looked.subscribe()
    }

    /// Inspects all guarded paths. Returns true if each path still leads to the file that this manager has open. After
    /// the first loss, every call returns false.
    pub(crate) fn holds(&self) -> bool {
        if self.is_lost() {
            return false;
        }
        let loss = self.missing();
        let holds = loss.is_none();
        if !holds {
            self.lost.send_if_modified(|known| {
                let is_first = known.is_none();
                if is_first {
                    *known = loss;
                }
                is_first
            });
        }
        holds
    }

    /// Returns true if an earlier inspection detected a loss.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Returns the lost resource. Returns `None` if no inspection has detected a loss.
    pub(crate) fn loss(&self) -> Option<LostResource> {
        self.lost.borrow().clone()
    }

    /// Waits until a resource is lost, and inspects the paths whenever the path watcher reports a change. Only one task
    /// may call this at a time.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.subscribe();
        let mut ear = self.path_watcher.waiter();
        while self.holds() {
            self.looked.send_replace(());
            tokio::select! {
                _ = lost.wait_for(Option::is_some) => return,
                () = ear.rings() => {}
            }
        }
    }

    fn missing(&self) -> Option<LostResource> {
        if self.lock.is_lost() {
            return Some(LostResource::StateDir);
        }
        let store = self.store.get()?.iter().find(|held| held.is_lost())?;
        Some(LostResource::Store(store.path.clone()))
    }
}

impl fmt::Display for LostResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateDir => f.write_str("the state directory")?,
            Self::Store(path) => write!(f, "the store at {}", path.display())?,
        }
        f.write_str(match self {
            Self::StateDir => " was removed, moved or replaced",
            Self::Store(_) => " was removed, moved, replaced or truncated",
        })
    }
}

impl GuardedFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), place: Inode::of(rustix::fs::stat(path)?), length: None })
    }

    /// Guards a file that must not shrink. The file counts as lost if it becomes shorter than its largest observed
    /// length, or than `limit` bytes if `limit` is less than this length.
    fn min_length(path: &Path, limit: u64) -> io::Result<Self> {
        let length = Some(MinLength { kept: AtomicU64::new(0), limit });
        let held = Self { length, ..Self::at(path)? };
        // This first inspection records the current length of the file.
        let _ = held.is_lost();
        Ok(held)
    }

    fn is_lost(&self) -> bool {
        // Read the recorded length before the file is inspected. If the file grows between these two steps, another
        // task may record a larger length, and the inspected length would then look too small.
        let before = self.length.as_ref().map(|length| (length, length.kept.load(Ordering::Acquire)));
        match rustix::fs::stat(&self.path) {
            Ok(found) if Inode::of(found) != self.place => true,
            Ok(found) => before.is_some_and(|(length, kept)| length.is_cut_to(found.st_size, kept)),
            // Other errors do not show that the file is gone. A failing file system does not count as a loss.
            Err(errno) => matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
        }
    }
}

impl MinLength {
    /// Records the length `found` and returns true if the file was truncated. `before` is the length that was recorded
    /// before `found` was read.
    fn is_cut_to(&self, found: i64, before: u64) -> bool {
        let found = u64::try_from(found).unwrap_or(0).min(self.limit);
        self.kept.fetch_max(found, Ordering::AcqRel);
        found < before
    }
}

impl Inode {
    pub(crate) const fn of(stat: rustix::fs::Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    type TakeAway = fn(&Path);
    const WAYS: [TakeAway; 8] = [
        removed,
        moved,
        replaced,
        without_its_lock,
        below_a_moved_one,
        below_a_removed_one,
        below_another_link,
        with_another_lock,
    ];
    /// Maximum time until inotify reports a change, generous for a busy machine. The periodic inspection runs much
    /// later, so it cannot make the test succeed.
    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn directory_that_is_removed_moved_or_replaced_is_lost_at_once() {
        const { assert!(SOON.as_secs() * 3 < path_watcher::FALLBACK_INTERVAL.as_secs()) };
        for take_away in WAYS {
            let top = tempfile::tempdir().unwrap();
            let (path, guard, _lock) = standing(top.path(), PathWatcher::open());
            let waiting = tokio::time::timeout(SOON, guard.lost());
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut waiting).await.is_err());
            take_away(&path);
            waiting.await.unwrap();
            assert!(guard.is_lost() && !guard.clone().holds());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn path_without_notifications_is_checked_every_second() {
        for take_away in WAYS {
            let top = tempfile::tempdir().unwrap();
            let (path, guard, _lock) = standing(top.path(), PathWatcher::deaf());
            let waiting = tokio::time::timeout(Duration::from_millis(1_100), guard.lost());
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
            take_away(&path);
            waiting.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_inside_the_directory_and_the_store_cause_no_inspection() {
        let top = tempfile::tempdir().unwrap();
        let (path, guard, _lock) = standing(top.path(), PathWatcher::open());
        let (database, files) = (path.join("longhaul.db"), path.join("store"));
        fs::write(&database, "").unwrap();
        fs::create_dir_all(files.join("commits")).unwrap();
        for store in [StoreChoice::Sqlite(database.clone()), StoreChoice::Fs(files.clone())] {
            let guard = StateDirGuard { store: Arc::default(), ..guard.clone() };
            guard.watch_store(&store).unwrap();
        }
        let mut looks = guard.check_signal();
        let losing = tokio::spawn(async move { guard.lost().await });
        let work = |round: u32| {
            let attempt = path.join(format!("attempts/{round}"));
            fs::create_dir_all(&attempt).unwrap();
            fs::remove_dir(attempt).unwrap();
            fs::write(path.join("draft"), "more").unwrap();
            fs::rename(path.join("draft"), path.join("kept")).unwrap();
            fs::write(&database, "more").unwrap();
            fs::write(files.join("draft"), "more").unwrap();
            fs::rename(files.join("draft"), files.join("checkpoint.jsonl")).unwrap();
            fs::write(files.join("commits/1.jsonl"), "more").unwrap();
            fs::remove_file(files.join("commits/1.jsonl")).unwrap();
        };
        let is_looked = async |looks: &watch::Receiver<()>| {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            looks.has_changed().unwrap()
        };
        // Other tests change files in the shared temporary directory, which also triggers inspections. The test
        // therefore requires only one interval without an inspection.
        let mut is_calm = false;
        for _ in 0..10 {
            // Wait for the first inspection, and for inspections that earlier changes have triggered.
            while tokio::time::timeout(Duration::from_secs(3), looks.changed()).await.is_ok() {}
            (0..100).for_each(work);
            is_calm = !is_looked(&looks).await;
            if is_calm {
                break;
            }
        }
        assert!(is_calm);
        fs::rename(path.join("manager.lock"), path.join("aside")).unwrap();
        fs::rename(path.join("aside"), path.join("manager.lock")).unwrap();
        assert!(is_looked(&looks).await, "that is heard");
        assert!(!losing.is_finished());
        losing.abort();
    }

    #[tokio::test]
    async fn store_that_is_removed_or_moved_is_lost_at_once() {
        type Kind = fn(PathBuf) -> StoreChoice;
        let cases: [(Kind, TakeAway); 5] = [
            (StoreChoice::Sqlite, |path| fs::remove_file(path.join("db")).unwrap()),
            (StoreChoice::Sqlite, |path| fs::remove_file(path.join("db-wal")).unwrap()),
            (StoreChoice::Sqlite, |path| fs::rename(path.join("db"), path.join("other")).unwrap()),
            (StoreChoice::Fs, |path| fs::remove_dir_all(path.join("db")).unwrap()),
            (StoreChoice::Fs, |path| fs::rename(path.join("db"), path.join("other")).unwrap()),
        ];
        for (choice, change) in cases {
            let top = tempfile::tempdir().unwrap();
            let (_, guard, _lock) = standing(top.path(), PathWatcher::open());
            let choice = choice(top.path().join("db"));
            // A store keeps its files open, so the kernel preserves such a file after its removal.
            let _open = match &choice {
                StoreChoice::Fs(path) => {
                    fs::create_dir_all(path.join("commits")).unwrap();
                    fs::write(path.join("lock"), "").unwrap();
                    fs::File::open(path.join("lock")).unwrap()
                }
                StoreChoice::Sqlite(path) => {
                    fs::write(top.path().join("db-wal"), "").unwrap();
                    fs::write(path, "").unwrap();
                    fs::File::open(path).unwrap()
                }
                StoreChoice::Memory | StoreChoice::Other(_) => unreachable!(),
            };
            guard.watch_store(&choice).unwrap();
            let waiting = tokio::time::timeout(SOON, guard.lost());
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut waiting).await.is_err());
            change(top.path());
            waiting.await.unwrap();
            assert!(matches!(guard.loss(), Some(LostResource::Store(_))));
        }
    }

    #[test]
    fn look_that_a_later_look_overtakes_loses_nothing() {
        let length = MinLength { kept: AtomicU64::new(0), limit: u64::MAX };
        assert!(!length.is_cut_to(104, 0));
        assert!(!length.is_cut_to(100, 0), "it began while nothing was known");
        assert!(length.is_cut_to(100, 104));
    }

    #[test]
    fn lost_directory_stays_lost() {
        let top = tempfile::tempdir().unwrap();
        let (path, aside) = (top.path().join("state"), top.path().join("aside"));
        let state = StateDir::prepare(&path).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let guard = StateDirGuard::of(&state, &lock).unwrap();
        fs::rename(&path, &aside).unwrap();
        assert!(!guard.holds());
        fs::rename(&aside, &path).unwrap();
        assert!(!guard.holds(), "another manager may have been there meanwhile");
    }

    #[test]
    fn store_that_is_removed_replaced_or_truncated_is_lost_and_one_that_fills_is_not() {
        type Change = fn(&Path);
        let removed: Change = |path| fs::remove_file(path).unwrap();
        let replaced: Change = |path| {
            fs::write(path.with_extension("new"), "").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        };
        let without_journal: Change = |path| fs::remove_file(path.with_extension("db-wal")).unwrap();
        let filled: Change = |path| fs::write(path, "much more").unwrap();
        let truncated: Change = |path| fs::write(path, "").unwrap();
        let cut_short: Change = |path| fs::write(path, "s").unwrap();
        let without_commits: Change = |path| fs::write(path.with_extension("db-wal"), "").unwrap();
        let cases = [
            (truncated, Some("db")),
            (cut_short, Some("db")),
            (without_commits, Some("db-wal")),
            (removed, Some("db")),
            (replaced, Some("db")),
            (without_journal, Some("db-wal")),
            (filled, None),
        ];
        for (change, lost) in cases {
            let top = tempfile::tempdir().unwrap();
            let state = StateDir::prepare(&top.path().join("state")).unwrap();
            let lock = ManagerLock::take(&state).unwrap();
            let guard = StateDirGuard::of(&state, &lock).unwrap();
            let path = top.path().join("store.db");
            for ending in ["db", "db-wal"] {
                fs::write(path.with_extension(ending), "some").unwrap();
            }
            guard.watch_store(&StoreChoice::Sqlite(path.clone())).unwrap();
            assert!(guard.holds());
            change(&path);
            assert_eq!(guard.holds(), lost.is_none());
            assert_eq!(guard.loss(), lost.map(|ending| LostResource::Store(path.with_extension(ending))));
        }
    }

    #[test]
    fn path_that_leads_there_another_way_is_no_loss() {
        let top = tempfile::tempdir().unwrap();
        let (real, link) = (top.path().join("real"), top.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let state = StateDir::prepare(&link.join("state")).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let guard = StateDirGuard::of(&state, &lock).unwrap();
        fs::remove_file(&link).unwrap();
        fs::rename(&real, &link).unwrap();
        assert!(guard.holds());
    }

    /// Creates a guarded state directory whose path contains a symbolic link.
    fn standing(top: &Path, path_watcher: PathWatcher) -> (PathBuf, StateDirGuard, ManagerLock) {
        fs::create_dir(top.join("real")).unwrap();
        symlink("real", top.join("link")).unwrap();
        let path = top.join("link/above/state");
        let state = StateDir::prepare(&path).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let guard = StateDirGuard::hearing_by(path_watcher, &state, &lock).unwrap();
        assert!(guard.holds());
        (path, guard, lock)
    }

    fn removed(path: &Path) {
        fs::remove_dir_all(path).unwrap();
    }

    fn moved(path: &Path) {
        fs::rename(path, path.with_extension("aside")).unwrap();
    }

    fn replaced(path: &Path) {
        moved(path);
        let other = StateDir::prepare(path).unwrap();
        ManagerLock::take(&other).unwrap();
    }

    fn without_its_lock(path: &Path) {
        fs::remove_file(path.join(LOCK)).unwrap();
    }

    fn below_a_moved_one(path: &Path) {
        moved(path.parent().unwrap());
    }

    fn below_a_removed_one(path: &Path) {
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    fn below_another_link(path: &Path) {
        let link = path.parent().unwrap().parent().unwrap();
        symlink("elsewhere", link.with_extension("new")).unwrap();
        fs::rename(link.with_extension("new"), link).unwrap();
    }

    fn with_another_lock(path: &Path) {
        without_its_lock(path);
        ManagerLock::take(&StateDir::find(path).unwrap()).unwrap();
    }
}
