//! One intercepted system call: its kind, its file, and the program that makes it.

use super::filter::{Asked, descriptor_of};
use libc::c_long;
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Maximum length of a path in Linux.
const MAX_PATH: usize = 4096;
/// Maximum number of bytes that are written for a short write.
const MAX_HALF: usize = 1 << 20;

/// A system call that a program of this workspace is about to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// Kind of the system call.
    pub kind: CallKind,
    /// The program that makes the call.
    pub program: Program,
    /// The file that the call changes; `None` for calls that change no file.
    pub place: Option<PathBuf>,
}

/// Kind of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Writes bytes.
    Write,
    /// Syncs written bytes to disk.
    Sync,
    /// Renames a file.
    Rename,
    /// Creates a file if it does not exist.
    Create,
    /// Creates a directory.
    Directory,
    /// Changes the length of a file, or reserves or frees its disk space.
    Size,
    /// Removes a file or directory.
    Remove,
    /// Creates a process.
    Process,
    /// Executes another program in the same process.
    Program,
}

/// The program that makes a system call. A child process that has not executed its command yet counts as the program
/// that forked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The manager.
    Manager,
    /// A shim.
    Shim,
}

/// How the arguments of a system call identify a file. Each number is the index of an argument.
enum Naming {
    Descriptor(usize),
    /// By a directory descriptor, followed by a path.
    Below(usize),
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only old architectures have such calls")
    )]
    Path(usize),
    Nothing,
}

impl CallKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Write,
        Self::Sync,
        Self::Rename,
        Self::Create,
        Self::Directory,
        Self::Size,
        Self::Remove,
        Self::Process,
        Self::Program,
    ];
}

impl Call {
    /// Reads the arguments of a system call. Returns `None` if the caller is not a program of this workspace or the
    /// call only creates a thread.
    pub(super) fn read(asked: &Asked) -> Option<Self> {
        let program = program_of(asked.thread)?;
        let (kind, naming) = meaning_of(asked.number)?;
        if asked.number == libc::SYS_clone3 && is_of_a_thread(asked) {
            return None;
        }
        let place = match naming {
            Naming::Descriptor(at) => path_of(asked, at),
            Naming::Below(at) => path_below(asked, at),
            Naming::Path(at) => path_at(asked, at).map(|path| cwd_of(asked).join(path)),
            Naming::Nothing => None,
        };
        Some(Self { kind, program, place })
    }
}

/// Kills the process that a thread belongs to.
pub(super) fn kill_asker(thread: u32) {
    if let Some(pid) = process_of(thread).and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
        // Ignore errors, because the process may have exited already.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Performs a write for the first half of its bytes. Returns the number of written bytes, or `None` if the call is not
/// a write or its length does not allow splitting.
pub(super) fn write_half(asked: &Asked) -> Option<i64> {
    let at = match asked.number {
        libc::SYS_write => None,
        libc::SYS_pwrite64 => Some(asked.arguments[3]),
        _ => return None,
    };
    let length = usize::try_from(asked.arguments[2]).ok()?;
    if !(2..=2 * MAX_HALF).contains(&length) {
        return None;
    }
    let half = memory_of(asked, asked.arguments[1], length / 2)?;
    let mut file = descriptor_of(process_of(asked.thread)?, descriptor(asked, 0)?)?;
    let written = match at {
        Some(at) => file.write_all_at(&half, at),
        None => file.write_all(&half),
    };
    written.ok()?;
    i64::try_from(half.len()).ok()
}

fn meaning_of(number: c_long) -> Option<(CallKind, Naming)> {
    Some(match number {
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev => (CallKind::Write, Naming::Descriptor(0)),
        libc::SYS_splice => (CallKind::Write, Naming::Descriptor(2)),
        libc::SYS_fsync | libc::SYS_fdatasync => (CallKind::Sync, Naming::Descriptor(0)),
        libc::SYS_renameat | libc::SYS_renameat2 => (CallKind::Rename, Naming::Below(2)),
        libc::SYS_openat | libc::SYS_mknodat => (CallKind::Create, Naming::Below(0)),
        libc::SYS_mkdirat => (CallKind::Directory, Naming::Below(0)),
        libc::SYS_unlinkat => (CallKind::Remove, Naming::Below(0)),
        libc::SYS_ftruncate | libc::SYS_fallocate => (CallKind::Size, Naming::Descriptor(0)),
        libc::SYS_clone | libc::SYS_clone3 => (CallKind::Process, Naming::Nothing),
        libc::SYS_execve | libc::SYS_execveat => (CallKind::Program, Naming::Nothing),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork | libc::SYS_vfork => (CallKind::Process, Naming::Nothing),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => (CallKind::Rename, Naming::Path(1)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => (CallKind::Directory, Naming::Path(0)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink | libc::SYS_rmdir => (CallKind::Remove, Naming::Path(0)),
        _ => return None,
    })
}

fn program_of(thread: u32) -> Option<Program> {
    let exe = fs::read_link(format!("/proc/{thread}/exe")).ok()?;
    match exe.file_name()?.to_str()? {
        "longhauld" => Some(Program::Manager),
        "longhaul-shim" => Some(Program::Shim),
        _ => None,
    }
}

/// Returns true if a call of `clone3` creates a thread. The test program checks the flags of the call, because the
/// flags are in memory and the filter in the kernel cannot read memory.
fn is_of_a_thread(asked: &Asked) -> bool {
    let flags = memory_of(asked, asked.arguments[0], 8);
    let flags = flags.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
    flags & u64::from(libc::CLONE_THREAD.cast_unsigned()) != 0
}

fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

fn path_of(asked: &Asked, at: usize) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/fd/{}", asked.thread, descriptor(asked, at)?)).ok()
}

fn path_below(asked: &Asked, at: usize) -> Option<PathBuf> {
    let path = path_at(asked, at + 1)?;
    let directory = match descriptor(asked, at)? {
        libc::AT_FDCWD => cwd_of(asked),
        _ => path_of(asked, at)?,
    };
    Some(directory.join(path))
}

fn path_at(asked: &Asked, at: usize) -> Option<PathBuf> {
    let bytes = memory_of(asked, *asked.arguments.get(at)?, MAX_PATH)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(Path::new(OsStr::from_bytes(bytes.get(..end)?)).to_owned())
}

fn cwd_of(asked: &Asked) -> PathBuf {
    fs::read_link(format!("/proc/{}/cwd", asked.thread)).unwrap_or_default()
}

/// Returns an argument that is a file descriptor: the lower half of the register, as a signed number.
fn descriptor(asked: &Asked, at: usize) -> Option<i32> {
    let register = asked.arguments.get(at)? & u64::from(u32::MAX);
    Some(u32::try_from(register).ok()?.cast_signed())
}

/// Reads memory of the calling process at an address. Returns fewer bytes if the mapped memory ends earlier.
fn memory_of(asked: &Asked, address: u64, length: usize) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{}/mem", asked.thread)).ok()?;
    let mut bytes = vec![0; length];
    let got = memory.read_at(&mut bytes, address).ok()?;
    bytes.truncate(got);
    Some(bytes)
}
