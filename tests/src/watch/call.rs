//! One call that is asked about: what it does, where, and who wants it.

use super::filter::{Asked, descriptor_of};
use libc::c_long;
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The longest path that the kernel takes.
const LONGEST_PATH: usize = 4096;
/// No write is cut short beyond this.
const LARGEST_HALF: usize = 1 << 20;

/// A call that one of our programs wants to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it does.
    pub kind: CallKind,
    /// Who wants it.
    pub program: Program,
    /// The file that it concerns; none for those that concern no file.
    pub place: Option<PathBuf>,
}

/// What calls do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Bytes are written.
    Write,
    /// What was written is forced to the disk.
    Sync,
    /// A file gets another name.
    Rename,
    /// A file is made if there is none.
    Create,
    /// A directory is made.
    Directory,
    /// A file gets another length, room, or a hole.
    Size,
    /// A file or directory is removed.
    Remove,
    /// A process is made.
    Process,
    /// A process becomes another program.
    Program,
}

/// Which of our programs makes a call; a child that is to become a command counts as the one that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The manager.
    Manager,
    /// A supervisor.
    Shim,
}

/// How the arguments of a call name a file.
enum Naming {
    Descriptor(usize),
    /// A descriptor of a directory, then a path.
    Below(usize),
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only old architectures have such calls")
    )]
    Path(usize),
    Nothing,
}

impl CallKind {
    /// All of them.
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
    /// What is asked about; none if it is not one of our programs that asks.
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

/// Ends the process of a thread.
pub(super) fn kill_asker(thread: u32) {
    if let Some(pid) = process_of(thread).and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
        // It may be gone by itself.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Writes the first half of what a call was given; none if it is no write, or too short for one.
pub(super) fn write_half(asked: &Asked) -> Option<i64> {
    let at = match asked.number {
        libc::SYS_write => None,
        libc::SYS_pwrite64 => Some(asked.arguments[3]),
        _ => return None,
    };
    let length = usize::try_from(asked.arguments[2]).ok()?;
    if !(2..=2 * LARGEST_HALF).contains(&length) {
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
        "longhaul" => Some(Program::Manager),
        "longhaul-shim" => Some(Program::Shim),
        _ => None,
    }
}

/// `clone3` has its flags in memory, where the kernel's filter cannot look.
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
    let bytes = memory_of(asked, *asked.arguments.get(at)?, LONGEST_PATH)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(Path::new(OsStr::from_bytes(bytes.get(..end)?)).to_owned())
}

fn cwd_of(asked: &Asked) -> PathBuf {
    fs::read_link(format!("/proc/{}/cwd", asked.thread)).unwrap_or_default()
}

/// A descriptor among the arguments: the lower half of its register, with a sign.
fn descriptor(asked: &Asked, at: usize) -> Option<i32> {
    let register = asked.arguments.get(at)? & u64::from(u32::MAX);
    Some(u32::try_from(register).ok()?.cast_signed())
}

/// What is in the memory of the asker at an address; less where the memory ends before.
fn memory_of(asked: &Asked, address: u64, length: usize) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{}/mem", asked.thread)).ok()?;
    let mut bytes = vec![0; length];
    let got = memory.read_at(&mut bytes, address).ok()?;
    bytes.truncate(got);
    Some(bytes)
}
