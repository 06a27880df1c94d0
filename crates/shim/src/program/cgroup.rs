//! The cgroup v2 of an attempt.

use std::{
    fs, io,
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::launch::{ADDRESS_SPACE, CgroupLimits, PROCESSES};

const MAGIC: u64 = 0x6367_7270;
const MAX_DEPTH: u32 = 16;
const EVENTS: usize = 256;

/// An open cgroup that contains only the processes of this attempt.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
    fd: OwnedFd,
}

impl Cgroup {
    /// Opens the cgroup, and creates it if it does not exist. Fails if it is not a cgroup v2, cannot be killed as a
    /// whole, or already contains processes.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let made = match fs::create_dir(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let kind = rustix::fs::fstatfs(&fd)?.f_type;
        let cgroup = Self { path: path.to_owned(), fd };
        if u64::try_from(kind) != Ok(MAGIC) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        rustix::fs::statat(&cgroup.fd, "cgroup.kill", AtFlags::SYMLINK_NOFOLLOW)?;
        // Refuse a cgroup that already contains processes: they are not part of this attempt, and must not be killed
        // with it.
        if !made && cgroup.is_populated()? { Err(io::ErrorKind::ResourceBusy.into()) } else { Ok(cgroup) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if a process is in the cgroup or in a cgroup below it.
    pub(super) fn is_populated(&self) -> io::Result<bool> {
        match self.event("populated") {
            // The kernel refuses to remove a cgroup that contains processes, so a removed cgroup was empty.
            Err(error) if is_gone(&error) => Ok(false),
            reported => reported,
        }
    }

    pub(super) fn is_frozen(&self) -> io::Result<bool> {
        self.event("frozen")
    }

    /// Sets limits that apply to the whole cgroup. Returns the `RLIMIT_*` numbers of the per-process limits that these
    /// limits replace.
    pub(super) fn limit(&self, limits: &CgroupLimits) -> Vec<u32> {
        limit_group(&self.path, limits)
    }

    /// Kills all processes in the cgroup, including processes that are being forked.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    pub(super) fn freeze(&self, frozen: bool) -> io::Result<()> {
        fs::write(self.path.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }

    /// Returns the pids of all processes in the cgroup and in cgroups that the command created below it.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        collect(&self.path, MAX_DEPTH, &mut pids);
        pids
    }

    /// Removes the cgroup, and the cgroups that the command created below it. Has no effect on a cgroup that contains
    /// processes.
    pub(super) fn remove(&self) {
        remove_below(&self.path, MAX_DEPTH);
    }

    fn event(&self, key: &str) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, "cgroup.events", flags, Mode::empty())?;
        let mut buffer = [0; EVENTS];
        // A single read returns the whole content of a cgroup file.
        let got = rustix::io::read(&file, &mut buffer)?;
        let events = std::str::from_utf8(buffer.get(..got).unwrap_or(&[])).unwrap_or("");
        let mut lines = events.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.any(|(each, value)| each == key && value == "1"))
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Returns true if the error means that the cgroup was removed, either before its file was opened or while the file was
/// open.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Sets the limits for which the cgroup has controllers. A limit without a controller has no file in the cgroup, and is
/// not set. Returns the `RLIMIT_*` numbers of the per-process limits that the set limits replace.
fn limit_group(path: &Path, limits: &CgroupLimits) -> Vec<u32> {
    let set = |file: &str, value: &str| {
        // Never create the file: in a directory that is not a cgroup, a created file would look like a limit that is in
        // force.
        let opened = fs::OpenOptions::new().write(true).open(path.join(file));
        opened.and_then(|mut file| file.write_all(value.as_bytes())).is_ok()
    };
    let mut needless = Vec::new();
    if let Some(bytes) = limits.memory
        && set("memory.max", &bytes.to_string())
    {
        // Ignore errors of these two settings. Without the first setting, memory of the tree would be swapped out and
        // the tree would run very slowly. Without the second one, the kernel would kill only some processes of the
        // tree.
        let _no_swap_to_forbid = set("memory.swap.max", "0");
        let _killed_one_by_one = set("memory.oom.group", "1");
        needless.push(ADDRESS_SPACE);
    }
    if let Some(limit) = limits.processes
        && set("pids.max", &limit.to_string())
    {
        needless.push(PROCESSES);
    }
    needless
}

fn collect(path: &Path, depth: u32, pids: &mut Vec<u32>) {
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    pids.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    for below in directories(path, depth) {
        collect(&below, depth.saturating_sub(1), pids);
    }
}

fn remove_below(path: &Path, depth: u32) {
    // Try to remove the cgroup first: most cgroups have no cgroups below them, and a list of their many files is then
    // not needed.
    if fs::remove_dir(path).is_ok() {
        return;
    }
    for below in directories(path, depth) {
        remove_below(&below, depth.saturating_sub(1));
    }
    drop(fs::remove_dir(path));
}

fn directories(path: &Path, depth: u32) -> Vec<PathBuf> {
    if depth == 0 {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let entries = entries.flatten();
    // Symbolic links cannot exist in a cgroup file system, and this filter would not follow one.
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CgroupLimits = CgroupLimits { memory: Some(1_000_000), processes: Some(5) };

    struct Group(PathBuf);

    impl Group {
        fn new(name: &str, files: &[&str]) -> Self {
            let path = std::env::temp_dir().join(format!("shim-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            for file in files {
                fs::write(path.join(file), "").unwrap();
            }
            Self(path)
        }

        fn text(&self, file: &str) -> Option<String> {
            fs::read_to_string(self.0.join(file)).ok()
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn limits_of_the_tree_replace_those_of_each_process_where_there_are_controllers() {
        let group = Group::new("limits", &["memory.max", "memory.swap.max", "memory.oom.group", "pids.max"]);
        assert_eq!(limit_group(&group.0, &LIMITS), [ADDRESS_SPACE, PROCESSES]);
        assert_eq!(group.text("memory.max").as_deref(), Some("1000000"));
        assert_eq!(group.text("memory.swap.max").as_deref(), Some("0"));
        assert_eq!(group.text("memory.oom.group").as_deref(), Some("1"));
        assert_eq!(group.text("pids.max").as_deref(), Some("5"));
    }

    #[test]
    fn controller_that_is_not_there_is_neither_pretended_nor_needed() {
        let group = Group::new("bare", &["pids.max"]);
        assert_eq!(limit_group(&group.0, &LIMITS), [PROCESSES]);
        assert_eq!(group.text("memory.max"), None);
        assert_eq!(limit_group(&group.0, &CgroupLimits::default()), [0_u32; 0]);
    }
}
