//! Finds the open files of all processes of a tree. A single pass collects all results, because there may be thousands
//! of descriptors.

use super::files::{OpenFile, PipeId};
use longhaul_shim::ProcessStat;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

const DIRENT_BUFFER: usize = 2 << 10;
/// Maximum number of bytes of a link target to read: enough to recognize pipes, sockets and the null device.
const TARGET: usize = 64;

/// The open files of the processes of a tree.
#[derive(Debug, Default)]
pub(super) struct TreeScan {
    /// For each process that has sockets: its pid and the inodes of its sockets.
    pub(super) sockets: Vec<(u32, Vec<u64>)>,
    /// True if the standard input of at least one process is a terminal.
    pub(super) has_terminal: bool,
    /// The requested pipes that at least one process of the tree can write to.
    written: BTreeSet<PipeId>,
    /// True if a process has ended or could not be inspected. That process, or a child of it, may be able to write to
    /// any pipe.
    has_unknown: bool,
}

impl TreeScan {
    /// Inspects the open files of processes, and finds out which of `pipes` the processes can write to.
    pub(super) fn of(members: &[ProcessStat], pipes: &[PipeId]) -> Self {
        let mut survey = Self::default();
        for stat in members {
            let seen = survey.add(stat.pid, pipes).unwrap_or(0);
            // A process that has ended may have passed its open files to a child that is not in the list yet.
            survey.has_unknown |= seen == 0 && !is_empty_handed(stat);
        }
        survey
    }

    /// Returns true if it is certain that no process of the tree can write to this requested pipe.
    pub(super) fn surely_lacks_writer(&self, pipe: PipeId) -> bool {
        !self.has_unknown && !self.written.contains(&pipe)
    }

    /// Inspects one process. Returns the number of descriptors found.
    fn add(&mut self, pid: u32, pipes: &[PipeId]) -> io::Result<usize> {
        let mut sockets = Vec::new();
        let mut seen = 0_usize;
        visit(pid, |place, target| {
            seen = seen.saturating_add(1);
            if let Some(inode) = numbered(target, "socket:[") {
                sockets.push(inode);
            } else if target != "/dev/null" {
                let may_be_terminal = target.starts_with("/dev/") && place.is_stdin();
                self.has_terminal |= may_be_terminal && place.opened().is_terminal();
                if may_be_one_of(target, pipes)
                    && place.is_writable()
                    && let OpenFile::Pipe(pipe) = place.opened()
                {
                    self.written.insert(pipe);
                }
            }
        })?;
        if !sockets.is_empty() {
            self.sockets.push((pid, sockets));
        }
        Ok(seen)
    }
}

/// Returns true if the process is alive and has no open files.
fn is_empty_handed(stat: &ProcessStat) -> bool {
    visit(stat.pid, |_, _| {}).is_ok()
        && ProcessStat::read(stat.pid).is_some_and(|now| now.start_time == stat.start_time && !now.is_dead())
}

/// Returns true if a process has sockets or cannot be inspected.
pub(super) fn has_sockets(pid: u32) -> bool {
    let mut found = false;
    let looked = visit(pid, |_, target| found |= numbered(target, "socket:[").is_some());
    found || looked.is_err()
}

/// Returns the inodes of the sockets of a process, as far as this program may read its descriptors.
pub(super) fn sockets_of(pid: u32) -> Vec<u64> {
    let mut sockets = Vec::new();
    // A process that has ended, or that belongs to another user, has no sockets that this program can see.
    let _ = visit(pid, |_, target| sockets.extend(numbered(target, "socket:[")));
    sockets
}

/// One descriptor of a process, as an entry of `/proc/<pid>/fd`.
struct DescriptorOwner<'a> {
    directory: &'a OwnedFd,
    name: &'a CStr,
}

impl DescriptorOwner<'_> {
    fn is_stdin(&self) -> bool {
        self.name == c"0"
    }

    fn opened(&self) -> OpenFile {
        OpenFile::at(self.directory, self.name)
    }

    /// Returns true if the file is open for writing. The permission bits of the link show this.
    fn is_writable(&self) -> bool {
        let link = statat(self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW);
        link.is_ok_and(|link| Mode::from_raw_mode(link.st_mode).contains(Mode::WUSR))
    }
}

/// Calls `see` for every descriptor of a process, with the start of the name that the kernel shows for the open file.
///
/// # Errors
/// If the process has ended, or if this program may not inspect some descriptors.
fn visit(pid: u32, mut see: impl FnMut(&DescriptorOwner<'_>, &str)) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty())?;
    let mut entries = [MaybeUninit::uninit(); DIRENT_BUFFER];
    let mut entries = RawDir::new(&directory, &mut entries);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes().starts_with(b".") {
            continue;
        }
        let mut target = [MaybeUninit::uninit(); TARGET];
        match readlinkat_raw(&directory, name, &mut target) {
            Ok((target, _)) => {
                let place = DescriptorOwner { directory: &directory, name };
                see(&place, &String::from_utf8_lossy(target));
            }
            // The process has just closed the descriptor.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn numbered(target: &str, kind: &str) -> Option<u64> {
    target.strip_prefix(kind)?.strip_suffix(']')?.parse().ok()
}

/// Returns true if the file may be one of these pipes. A file with a path always counts, because it may be a FIFO.
fn may_be_one_of(target: &str, pipes: &[PipeId]) -> bool {
    match numbered(target, "pipe:[") {
        Some(inode) => pipes.iter().any(|pipe| pipe.inode == inode),
        None => target.starts_with('/') && !pipes.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd as _;

    fn this() -> Vec<ProcessStat> {
        ProcessStat::read(std::process::id()).into_iter().collect()
    }

    fn pipe_of(fd: &impl std::os::fd::AsFd) -> PipeId {
        let number = u64::try_from(fd.as_fd().as_raw_fd()).unwrap();
        match OpenFile::of(std::process::id(), number) {
            OpenFile::Pipe(pipe) => pipe,
            other @ (OpenFile::Terminal | OpenFile::Other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_end_to_write_to_makes_a_writer() {
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = pipe_of(&reader);
        assert!(!TreeScan::of(&this(), &[pipe]).surely_lacks_writer(pipe));
        drop(writer);
        assert!(TreeScan::of(&this(), &[pipe]).surely_lacks_writer(pipe));
    }

    #[test]
    fn pipe_with_a_name_is_recognised_whatever_it_is_opened_as() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        fs::hard_link(&path, dir.path().join("other")).unwrap();
        let both = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let pipe = pipe_of(&both);
        assert!(!TreeScan::of(&this(), &[pipe]).surely_lacks_writer(pipe));
        let writer = fs::OpenOptions::new().write(true).open(dir.path().join("other")).unwrap();
        let reader = fs::File::open(&path).unwrap();
        drop(both);
        assert!(!TreeScan::of(&this(), &[pipe]).surely_lacks_writer(pipe));
        drop(writer);
        assert!(TreeScan::of(&this(), &[pipe]).surely_lacks_writer(pipe));
        drop(reader);
    }

    #[test]
    fn open_sockets_are_found() {
        let _socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let survey = TreeScan::of(&this(), &[]);
        assert_eq!(survey.sockets.len(), 1);
        assert!(has_sockets(std::process::id()));
    }

    #[test]
    fn ended_process_may_have_left_a_writer_behind() {
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = pipe_of(&reader);
        drop(writer);
        let mut child = std::process::Command::new("sleep").arg("3600").spawn().unwrap();
        let members: Vec<_> = ProcessStat::read(child.id()).into_iter().collect();
        assert!(TreeScan::of(&members, &[pipe]).surely_lacks_writer(pipe));
        child.kill().unwrap();
        while !ProcessStat::read(child.id()).unwrap().is_dead() {}
        assert!(!TreeScan::of(&members, &[pipe]).surely_lacks_writer(pipe));
        child.wait().unwrap();
        assert!(!TreeScan::of(&members, &[pipe]).surely_lacks_writer(pipe));
    }

    #[test]
    fn empty_set_of_pipes_has_no_writer() {
        assert_eq!(TreeScan::of(&[], &[]).sockets, []);
        assert!(!TreeScan::of(&[], &[]).has_terminal);
    }
}
