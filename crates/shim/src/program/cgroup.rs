//! The cgroup v2 of an attempt.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags};

const MAGIC: u64 = 0x6367_7270;
const DEEPEST: u32 = 16;

/// An open cgroup that holds this attempt and nothing else.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
    fd: OwnedFd,
}

impl Cgroup {
    /// Opens the cgroup, makes it if absent, and makes sure that it is empty and can be killed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Err(error) = fs::create_dir(path)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let kind = rustix::fs::fstatfs(&fd)?.f_type;
        let cgroup = Self { path: path.to_owned(), fd };
        if u64::try_from(kind) != Ok(MAGIC) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        fs::metadata(cgroup.path.join("cgroup.kill"))?;
        // Whatever is in there already is not ours to kill.
        if cgroup.is_populated()? { Err(io::ErrorKind::ResourceBusy.into()) } else { Ok(cgroup) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_populated(&self) -> io::Result<bool> {
        self.event("populated")
    }

    pub(super) fn is_frozen(&self) -> io::Result<bool> {
        self.event("frozen")
    }

    /// Kills everything inside, even what is being forked.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    pub(super) fn freeze(&self, frozen: bool) -> io::Result<()> {
        fs::write(self.path.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }

    /// Lists the processes inside, also in cgroups that the work made below it.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        collect(&self.path, DEEPEST, &mut pids);
        pids
    }

    /// Removes it and what the work made below it; fails harmlessly while somebody is inside.
    pub(super) fn remove(&self) {
        remove_below(&self.path, DEEPEST);
    }

    fn event(&self, key: &str) -> io::Result<bool> {
        let events = fs::read_to_string(self.path.join("cgroup.events"))?;
        let mut lines = events.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.any(|(each, value)| each == key && value == "1"))
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn collect(path: &Path, depth: u32, pids: &mut Vec<u32>) {
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    pids.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    for below in directories(path, depth) {
        collect(&below, depth.saturating_sub(1), pids);
    }
}

fn remove_below(path: &Path, depth: u32) {
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
    // A directory of type "symbolic link" cannot exist there, and would not be followed.
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
