//! The control group under which each attempt gets one of its own.

use longhaul_ports::AttemptKey;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const OURS: &str = "longhaul-";
/// The controllers by which a tree is limited as a whole.
const WANTED: [&str; 2] = ["memory", "pids"];

/// A directory of the cgroup v2 tree in which groups can be made.
#[derive(Debug)]
pub(super) struct Cgroups {
    path: PathBuf,
}

impl Cgroups {
    /// Makes a directory under the group of this program, by a name that stands for the directory of its attempts.
    ///
    /// # Errors
    /// Where there is no cgroup v2 that this program may write to, or one without `cgroup.kill`.
    pub(super) fn open(attempts: &Path) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let home = home(&mounts, &own).ok_or(io::ErrorKind::Unsupported)?;
        let outside = outside(&home);
        if outside != home {
            // As part of a managed process's group this program would be stopped and frozen with it.
            fs::write(outside.join("cgroup.procs"), std::process::id().to_string())?;
        }
        remove_deserted(&outside);
        let path = outside.join(format!("{OURS}{:08x}", hash(attempts)));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let this = Self { path };
        fs::metadata(this.path.join("cgroup.kill"))?;
        this.remove_empty();
        // Where they are not delegated, each process is limited by itself.
        delegate(&outside);
        delegate(&this.path);
        Ok(this)
    }

    /// The directory for one attempt, which its shim makes and removes.
    pub(super) fn path_of(&self, key: AttemptKey) -> PathBuf {
        // Another manager may have taken it for deserted while it was empty; if it cannot be made, the shim tells.
        drop(fs::create_dir(&self.path));
        self.path.join(format!("{}-{}", key.id, key.attempt))
    }

    /// Removes the groups that shims left behind when they were killed; the kernel keeps those with somebody in them.
    fn remove_empty(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path());
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // The kernel keeps it while an attempt has a group in it.
        drop(fs::remove_dir(&self.path));
    }
}

/// Hands the wanted controllers that a group has on to the groups below it.
///
/// The kernel refuses that to a group that is not delegated, or in which processes are.
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
        tracing::debug!(%error, group = %group.display(), "trees cannot be limited as a whole here");
    }
}

/// Removes the directories of managers that were killed; the kernel keeps those with somebody or some group in them.
fn remove_deserted(outside: &Path) {
    for entry in fs::read_dir(outside).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(OURS)) {
            drop(fs::remove_dir(entry.path()));
        }
    }
}

/// Removes an empty group and the empty groups that the work made in it.
pub(super) fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    drop(fs::remove_dir(path));
}

/// Finds the directory of this program's own group.
fn home(mounts: &str, own: &str) -> Option<PathBuf> {
    let group = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let root_and_mount = (fields.next()?, fields.next()?);
        (after.split(' ').next()? == "cgroup2").then_some(root_and_mount)
    })?;
    // What is mounted may be a part of the tree; paths of groups begin at its top.
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(mount).join(below))
}

/// The first directory upwards that lies in no group of a managed process.
fn outside(home: &Path) -> PathBuf {
    let is_ours = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(OURS));
    home.iter().take_while(|name| !is_ours(name)).collect()
}

/// FNV-1a: short, the same for ever, and nobody attacks a name of one's own.
fn hash(path: &Path) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    path.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_empty_directories_of_managers_are_deserted() {
        let dir = tempfile::tempdir().unwrap();
        let [empty, used, other] = ["longhaul-1", "longhaul-2", "other"].map(|name| dir.path().join(name));
        for each in [&empty, &used.join("id-1"), &other] {
            fs::create_dir_all(each).unwrap();
        }
        remove_deserted(dir.path());
        assert_eq!([&empty, &used, &other].map(|each| each.exists()), [false, true, true]);
    }

    #[test]
    fn a_manager_inside_a_managed_process_leaves_its_group() {
        let inside = Path::new("/sys/fs/cgroup/user/longhaul-0a1b2c3d/id-1/below");
        assert_eq!(outside(inside), Path::new("/sys/fs/cgroup/user"));
        let free = Path::new("/sys/fs/cgroup/user");
        assert_eq!(outside(free), free);
    }
}
