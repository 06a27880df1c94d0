//! The control group that contains a separate control group for each attempt.

use super::attempts::Attempts;
use super::nested;
use longhaul_domain::AttemptNo;
use longhaul_ports::AttemptKey;
use longhaul_shim::ProcessStat;
use rustix::io::Errno;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAME_PREFIX: &str = "longhaul-";
/// Age at which a directory without groups is considered abandoned by its manager.
const ABANDONED: Duration = Duration::from_secs(3_600);
/// Cgroup controllers that limit a process tree as a whole.
const WANTED: [&str; 2] = ["memory", "pids"];

/// A directory of the cgroup v2 tree in which groups can be created.
#[derive(Debug)]
pub(super) struct Cgroups {
    path: PathBuf,
}

impl Cgroups {
    /// Creates a directory under the control group of this program. Its name is derived from the path of the attempts.
    ///
    /// # Errors
    /// If there is no writable cgroup v2 tree, or if the tree has no `cgroup.kill`.
    pub(super) fn open(attempts: &Attempts) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let home = home(&mounts, &own).ok_or(io::ErrorKind::Unsupported)?;
        let outside = outside(&home);
        if outside != home {
            // Leave the group of the managed process that started this program. Otherwise, this program would be
            // stopped and frozen together with that process.
            fs::write(outside.join("cgroup.procs"), std::process::id().to_string())?;
        }
        let path = outside.join(format!("{NAME_PREFIX}{:08x}", hash(attempts.path())));
        remove_deserted(&outside, &path);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let this = Self { path };
        fs::metadata(this.path.join("cgroup.kill"))?;
        this.remove_left(attempts);
        // If the controllers are not delegated, limits apply to each process separately.
        delegate(&outside);
        delegate(&this.path);
        Ok(this)
    }

    /// Ensures that the shim of an attempt can create its group, and returns the path of that group. The shim itself
    /// creates and removes the group.
    pub(super) fn ready(&self, key: AttemptKey) -> PathBuf {
        // Another manager may have removed this empty directory as abandoned. If it cannot be created again, the shim
        // reports the error.
        drop(fs::create_dir(&self.path));
        self.path_of(key)
    }

    pub(super) fn path_of(&self, key: AttemptKey) -> PathBuf {
        self.path.join(format!("{}-{}", key.id, key.attempt))
    }

    /// Removes the groups that killed shims left behind. The kernel refuses to remove groups with processes in them.
    ///
    /// Keeps the group of a live shim, although it is empty for a moment before the command starts and after it has
    /// ended.
    fn remove_left(&self, attempts: &Attempts) {
        for group in directories(&self.path) {
            let key = group.file_name().and_then(|name| name.to_str()).and_then(key_of);
            if !key.is_some_and(|key| attempts.has_shim(key)) {
                remove(&group);
            }
        }
    }
}

/// Returns the attempt that a group belongs to, from the name of the group.
fn key_of(name: &str) -> Option<AttemptKey> {
    let (id, attempt) = name.rsplit_once('-')?;
    Some(AttemptKey { id: id.parse().ok()?, attempt: AttemptNo(attempt.parse().ok()?) })
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // The kernel refuses to remove the directory while the group of an attempt exists in it.
        drop(fs::remove_dir(&self.path));
    }
}

/// Returns the attempt whose group contains a process. Needs no permissions.
pub(super) fn attempt_of(pid: u32) -> Option<(String, u64)> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::"))?);
    let mut names =
        path.iter().filter_map(|name| name.to_str()).skip_while(|name| !name.starts_with(NAME_PREFIX));
    let key = key_of(names.nth(1)?)?;
    Some((key.id.to_string(), key.attempt.0.into()))
}

/// Enables the wanted controllers for the subgroups of a group.
///
/// The kernel refuses this if the group is not delegated or contains processes.
fn delegate(group: &Path) {
    let listed = |file| fs::read_to_string(group.join(file)).unwrap_or_default();
    let (there, handed_on) = (listed("cgroup.controllers"), listed("cgroup.subtree_control"));
    let has = |list: &str, name: &str| list.split_ascii_whitespace().any(|each| each == name);
    let more = WANTED.into_iter().filter(|name| has(&there, name) && !has(&handed_on, name));
    let order: Vec<String> = more.map(|name| format!("+{name}")).collect();
    if order.is_empty() {
        return;
    }
    let control = fs::OpenOptions::new().write(true).open(group.join("cgroup.subtree_control"));
    if let Err(error) = control.and_then(|mut control| control.write_all(order.join(" ").as_bytes())) {
        tracing::debug!(%error, group = %group.display(), "could not enable resource limits for control \
            groups");
    }
}

/// Removes the directories that other, killed managers left behind. The kernel refuses to remove groups with processes
/// in them.
///
/// Also removes the groups of attempts without a shim. Such a group remains if a shim is killed together with its
/// command. Other managers may never use the state directory of this group again, so they would not remove the group.
fn remove_deserted(outside: &Path, own: &Path) {
    let served = OnceCell::new();
    for directory in of_managers(outside).filter(|directory| directory != own) {
        if fs::remove_dir(&directory).is_ok() {
            continue;
        }
        for group in directories(&directory).filter(|group| !is_served(group, &served)) {
            remove(&group);
        }
        drop(fs::remove_dir(&directory));
    }
}

/// Checks that a control group with `cgroup.kill` can be created and removed below the control group of this program.
pub(super) fn probe() -> io::Result<()> {
    let path = surroundings()?.join(format!("{NAME_PREFIX}probe-{}", std::process::id()));
    fs::create_dir(&path)?;
    let found = fs::metadata(path.join("cgroup.kill")).map(drop);
    fs::remove_dir(&path)?;
    found
}

/// Counts the empty groups of attempts without a shim, and the abandoned directories of managers.
pub(super) fn deserted() -> usize {
    surroundings().map_or(0, |outside| count_deserted(&outside))
}

fn count_deserted(outside: &Path) -> usize {
    let served = OnceCell::new();
    let of_one = |directory: PathBuf| {
        let groups: Vec<PathBuf> = directories(&directory).collect();
        let empty = groups.iter().filter(|group| is_empty(group) && !is_served(group, &served)).count();
        if groups.is_empty() && is_old(&directory) { 1 } else { empty }
    };
    of_managers(outside).map(of_one).sum()
}

fn surroundings() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    Ok(outside(&home(&mounts, &own).ok_or(io::ErrorKind::Unsupported)?))
}

fn of_managers(outside: &Path) -> impl Iterator<Item = PathBuf> {
    let is_ours = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(NAME_PREFIX))
    };
    directories(outside).filter(is_ours)
}

fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Returns true if a shim is running for the attempt of a group. The group may be empty because the shim has not
/// started its command yet.
fn is_served(group: &Path, served: &OnceCell<BTreeSet<String>>) -> bool {
    let all = served.get_or_init(|| ProcessStat::pids().into_iter().filter_map(group_of_shim).collect());
    group.file_name().and_then(|name| name.to_str()).is_some_and(|name| all.contains(name))
}

/// Returns the group name of the attempt that a process supervises, or `None` if the process is not a shim.
fn group_of_shim(pid: u32) -> Option<String> {
    let directory = nested::attempt_of(pid)?;
    let mut names = directory.iter().rev().filter_map(|name| name.to_str());
    let attempt = names.next()?;
    Some(format!("{}-{attempt}", names.next()?))
}

/// Returns true if the directory is old enough to be considered abandoned. The age that is used may be too low but
/// never too high.
fn is_old(group: &Path) -> bool {
    let changed = fs::metadata(group).and_then(|found| found.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= ABANDONED))
}

/// Returns true if a group and its subgroups contain no process. A group that no longer exists counts as empty, because
/// the kernel does not remove groups with processes in them.
pub(super) fn is_empty(group: &Path) -> bool {
    match fs::read_to_string(group.join("cgroup.events")) {
        Ok(events) => events.lines().any(|line| line == "populated 0"),
        Err(error) => {
            let is_gone = [Errno::NOENT, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
            is_gone.contains(&error.raw_os_error())
        }
    }
}

/// Kills all processes in a group and its subgroups in a single step, so that no process escapes by a fork.
pub(super) fn kill(group: &Path) {
    // Open only an existing file: outside a cgroup file system, the write would create an ordinary file.
    let control = fs::OpenOptions::new().write(true).open(group.join("cgroup.kill"));
    if let Err(error) = control.and_then(|mut control| control.write_all(b"1")) {
        tracing::debug!(%error, group = %group.display(), "could not kill all processes of a control group \
            in one step");
    }
}

/// Removes an empty group and the empty groups that the command created in it.
pub(super) fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    drop(fs::remove_dir(path));
}

/// Returns the directory of the control group that this program runs in.
fn home(mounts: &str, own: &str) -> Option<PathBuf> {
    let group = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let root_and_mount = (fields.next()?, fields.next()?);
        (after.split(' ').next()? == "cgroup2").then_some(root_and_mount)
    })?;
    // The mount may contain only a part of the cgroup tree, but group paths start at the root of the tree.
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(mount).join(below))
}

/// Returns the directory itself, or its nearest ancestor, that is not inside the group of a managed process.
fn outside(home: &Path) -> PathBuf {
    let is_ours = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(NAME_PREFIX));
    home.iter().take_while(|name| !is_ours(name)).collect()
}

/// Returns the FNV-1a hash of a path. The hash is short and stable across versions. A deliberate collision does no harm
/// in this use.
fn hash(path: &Path) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    path.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::ProcessId;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:7 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_group_of_this_program_is_found_in_a_mixed_tree() {
        let found = home(HYBRID, "9:cpu:/x\n0::/user.slice/a\n");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/unified/user.slice/a")));
        assert_eq!(home(HYBRID, "9:cpu:/x\n"), None);
        assert_eq!(home("", "0::/\n"), None);
    }

    #[test]
    fn a_mounted_part_of_the_tree_is_entered_from_its_own_top() {
        let part = "41 31 0:38 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(home(part, "0::/docker/1/app\n"), Some(PathBuf::from("/sys/fs/cgroup/app")));
        assert_eq!(home(part, "0::/elsewhere\n"), None);
    }

    #[test]
    fn wanted_controllers_that_are_there_are_handed_on_once() {
        for (there, before, expected) in [
            ("cpu io memory pids\n", "", "+memory +pids"),
            ("cpu pids\n", "cpu\n", "+pids"),
            ("memory pids\n", "memory pids\n", "memory pids\n"),
            ("hugetlb\n", "", ""),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let control = dir.path().join("cgroup.subtree_control");
            fs::write(dir.path().join("cgroup.controllers"), there).unwrap();
            fs::write(&control, before).unwrap();
            delegate(dir.path());
            assert_eq!(fs::read_to_string(control).unwrap(), expected, "{there}");
        }
        let bare = tempfile::tempdir().unwrap();
        delegate(bare.path());
        assert_eq!(fs::read_dir(bare.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_groups_without_a_live_shim_are_removed_at_the_start() {
        let [ours, of_attempts] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let attempts = Attempts::open(of_attempts.path()).unwrap();
        let key =
            |number| AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(number)), attempt: AttemptNo(2) };
        let this = Cgroups { path: ours.path().to_owned() };
        let [served, left, removed] = [1, 2, 3].map(|number| this.path_of(key(number)));
        for group in [&served.join("of-the-work"), &left.join("of-the-work"), &removed] {
            fs::create_dir_all(group).unwrap();
        }
        for number in [1, 2] {
            attempts.create(key(number)).unwrap();
        }
        let lock = attempts.attempt(key(1)).unwrap().unwrap().lock().unwrap();
        this.remove_left(&attempts);
        assert_eq!([&served, &left, &removed].map(|each| each.exists()), [true, false, false]);
        drop(lock);
        this.remove_left(&attempts);
        assert!(!served.exists());
    }

    #[test]
    fn directories_and_groups_that_managers_left_are_counted_and_removed_unless_a_shim_serves_them() {
        let dir = tempfile::tempdir().unwrap();
        let [empty, left, served, other] =
            ["longhaul-1", "longhaul-2/id-1", "longhaul-3/id-2", "other"].map(|name| dir.path().join(name));
        for group in [&empty, &left, &served, &other] {
            fs::create_dir_all(group).unwrap();
        }
        // This path is a plain directory and not a cgroup. Its events file makes it look like an empty cgroup, but also
        // prevents its removal.
        let events = [&left, &served].map(|group| group.join("cgroup.events"));
        for events in &events {
            fs::write(events, "populated 0\nfrozen 0\n").unwrap();
        }
        // This program looks like a shim because of its arguments. It runs until its standard input ends.
        fs::write(dir.path().join("attempt"), "read line; :").unwrap();
        let mut shim = std::process::Command::new("/bin/sh");
        let shim = shim.args(["attempt", "/attempts/id/2"]).current_dir(dir.path());
        let mut shim = shim.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while group_of_shim(shim.id()).as_deref() != Some("id-2") {
            assert!(std::time::Instant::now() < deadline, "it has other arguments");
        }
        assert_eq!(count_deserted(dir.path()), 1);
        for events in &events {
            fs::remove_file(events).unwrap();
        }
        remove_deserted(dir.path(), Path::new("/of/this"));
        assert_eq!([&empty, &left, &served, &other].map(|each| each.exists()), [false, false, true, true]);
        shim.kill().unwrap();
        shim.wait().unwrap();
        remove_deserted(dir.path(), Path::new("/of/this"));
        assert_eq!([&left, &served].map(|each| each.parent().unwrap().exists()), [false, false]);
    }

    #[test]
    fn a_manager_inside_a_managed_process_leaves_its_group() {
        let inside = Path::new("/sys/fs/cgroup/user/longhaul-0a1b2c3d/id-1/below");
        assert_eq!(outside(inside), Path::new("/sys/fs/cgroup/user"));
        let free = Path::new("/sys/fs/cgroup/user");
        assert_eq!(outside(free), free);
    }
}
