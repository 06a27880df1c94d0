//! Steps of the child process between the fork and the execution of the program.
#![expect(unsafe_code, reason = "between fork and exec only bare system calls are allowed")]

use std::{
    ffi::{CStr, CString, OsStr, OsString, c_char},
    io, mem,
    os::{
        fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    ptr,
};

use rustix::{fs::OFlags, pipe::PipeFlags};

use super::fork::{ForkSide, fork};
use crate::{
    exit::SpawnStage,
    launch::{LaunchOrder, ResourceLimit, StdinSource},
};

/// Length in bytes of the report of a failed step: the stage (4 bytes), then the error number (4 bytes).
pub(super) const REPORT: usize = 8;

/// Variable with the number of the descriptor to which the command may write its progress.
const PROGRESS_VARIABLE: &str = "LONGHAUL_PROGRESS_FD";
const LAST_SIGNAL: i32 = 64;
/// Length of the kernel's signal set type in bytes.
const SIGNAL_SET: usize = 8;
const NOT_RUN: i32 = 127;

/// Child process that is waiting at its gate: a pipe that it reads before it executes the program.
pub(super) struct GatedChild {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    /// Write end of the gate pipe. One byte lets the child continue. If the gate closes without a byte, the child
    /// exits.
    pub(super) gate: OwnedFd,
    /// Read end of the report pipe. When the child executes the program, the pipe closes without a report.
    pub(super) report: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Files of the shim that the command inherits.
#[derive(Clone, Copy, Default)]
pub(super) struct InheritedFiles<'a> {
    /// Pipe that becomes the standard input, if the launch requests a pipe.
    pub(super) input: Option<BorrowedFd<'a>>,
    /// Progress file, if the launch requests one.
    pub(super) progress: Option<BorrowedFd<'a>>,
}

/// All data that the child needs. It is prepared before the fork, because the child must not allocate memory.
struct PreparedChild {
    program: CString,
    arguments: PointerList,
    environment: PointerList,
    directory: CString,
    /// File to open as the standard input, unless `ChildEnds::stdin` is already open.
    stdin: CString,
    limits: Vec<ResourceLimit>,
}

/// C strings, and the null-terminated array of pointers to them.
struct PointerList {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

/// Descriptors of the pipe ends that the child uses.
struct ChildEnds {
    stdin: Option<RawFd>,
    gate: RawFd,
    report: RawFd,
    stdout: RawFd,
    stderr: RawFd,
    progress: Option<ProgressEnds>,
}

/// Descriptor of the progress file in the shim, and the number that this descriptor gets in the command.
#[derive(Clone, Copy)]
struct ProgressEnds {
    held: RawFd,
    given: RawFd,
}

/// Creates the child process, which then waits at its gate.
///
/// The resource limits whose numbers are in `needless` are not set, because the cgroup enforces them.
pub(super) fn spawn(
    launch: &LaunchOrder,
    inherited: InheritedFiles<'_>,
    cgroup: Option<BorrowedFd<'_>>,
    needless: &[u32],
) -> io::Result<GatedChild> {
    let (gate_out, gate) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (report, report_in) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (stdout, stdout_in) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, stderr_in) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // Make only the shim's ends of the pipes non-blocking. The command must get ordinary pipes.
    for end in [&report, &stdout, &stderr] {
        rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)?;
    }
    let progress = inherited.progress.map(|file| {
        let held = file.as_raw_fd();
        // Use a number with one digit, because some shells redirect only to such descriptors. Do not use the number of
        // the report pipe, because this pipe must stay open until the exec.
        let given = (3..=9).find(|fd| *fd != report_in.as_raw_fd()).unwrap_or(held);
        ProgressEnds { held, given: if held <= 9 { held } else { given } }
    });
    let prepared = PreparedChild::new(launch, progress, needless)?;
    let ends = ChildEnds {
        progress,
        stdin: inherited.input.map(|input| input.as_raw_fd()),
        gate: gate_out.as_raw_fd(),
        report: report_in.as_raw_fd(),
        stdout: stdout_in.as_raw_fd(),
        stderr: stderr_in.as_raw_fd(),
    };
    // SAFETY: this program has only one thread, and the child makes only system calls.
    match unsafe { fork(cgroup) }? {
        // SAFETY: this code runs in the child of the fork.
        ForkSide::Child => unsafe { become_program(&prepared, &ends) },
        ForkSide::Parent { pid, pidfd } => Ok(GatedChild { pid, pidfd, gate, report, stdout, stderr }),
    }
}

impl PreparedChild {
    fn new(launch: &LaunchOrder, progress: Option<ProgressEnds>, needless: &[u32]) -> io::Result<Self> {
        let variable = progress.map(|ends| OsString::from(format!("{PROGRESS_VARIABLE}={}", ends.given)));
        let inherited = launch.environment.0.iter().filter(|entry| !names_progress(entry));
        let limits = launch.limits.iter().filter(|limit| !needless.contains(&limit.resource));
        let stdin = match &launch.stdin {
            StdinSource::Null | StdinSource::Pipe => Path::new("/dev/null"),
            StdinSource::File(path) => path,
        };
        Ok(Self {
            program: text(launch.program.as_os_str())?,
            arguments: PointerList::new(launch.arguments.iter().map(|each| text(each)))?,
            environment: PointerList::new(inherited.chain(&variable).map(|each| text(each)))?,
            directory: text(launch.directory.as_os_str())?,
            stdin: text(stdin.as_os_str())?,
            limits: limits.copied().collect(),
        })
    }
}

impl PointerList {
    fn new(strings: impl Iterator<Item = io::Result<CString>>) -> io::Result<Self> {
        let strings = strings.collect::<io::Result<Vec<_>>>()?;
        let mut pointers: Vec<_> = strings.iter().map(|each| each.as_ptr()).collect();
        pointers.push(ptr::null());
        Ok(Self { pointers, _strings: strings })
    }
}

/// Returns true for an environment entry that names the progress descriptor of another command, such as the command
/// that started the manager.
fn names_progress(entry: &OsStr) -> bool {
    entry.as_bytes().strip_prefix(PROGRESS_VARIABLE.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

fn text(value: &OsStr) -> io::Result<CString> {
    CString::new(value.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Waits at the gate, then executes the program. Exits the process if the gate closes or a step fails.
///
/// # Safety
/// The caller must be the child of a fork.
unsafe fn become_program(prepared: &PreparedChild, ends: &ChildEnds) -> ! {
    // SAFETY: this code makes only system calls, on memory that was prepared before the fork.
    unsafe {
        // This call also closes two inherited descriptors. If the lock stayed open, the attempt would look alive after
        // the shim has ended. If the write end of the gate stayed open, the child would not notice that the shim has
        // ended.
        close_all_but(ends);
        libc::setsid();
        let mut byte = 0_u8;
        if libc::read(ends.gate, (&raw mut byte).cast(), 1) != 1 {
            // End by SIGKILL and not with an exit code. The program that takes over from a killed shim would mistake an
            // exit code for that of the command.
            libc::kill(libc::getpid(), libc::SIGKILL);
            libc::_exit(NOT_RUN);
        }
        reset_signals();
        let stage = prepare_and_exec(prepared, ends);
        let errno = *libc::__errno_location();
        let [a, b, c, d] = errno.to_le_bytes();
        let report: [u8; REPORT] = [stage.code(), 0, 0, 0, a, b, c, d];
        libc::write(ends.report, report.as_ptr().cast(), REPORT);
        libc::_exit(NOT_RUN)
    }
}

/// Prepares the process and executes the program. Returns only if a step failed: the result is the failed step, and
/// errno contains the reason.
unsafe fn prepare_and_exec(prepared: &PreparedChild, ends: &ChildEnds) -> SpawnStage {
    // SAFETY: this code makes only system calls, on memory that was prepared before the fork.
    unsafe {
        if libc::chdir(prepared.directory.as_ptr()) < 0 {
            return SpawnStage::Directory;
        }
        let stdin = match ends.stdin {
            Some(pipe) => pipe,
            None => open_input(&prepared.stdin),
        };
        if stdin < 0 || libc::dup2(stdin, 0) < 0 {
            return SpawnStage::Stdin;
        }
        if libc::dup2(ends.stdout, 1) < 0 || libc::dup2(ends.stderr, 2) < 0 {
            return SpawnStage::Output;
        }
        // Set close-on-exec instead of closing the descriptors now, because the report pipe must stay open until the
        // exec.
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        libc::fcntl(stdin, libc::F_SETFD, libc::FD_CLOEXEC);
        if let Some(ProgressEnds { held, given }) = ends.progress {
            // `dup2` clears close-on-exec in the new descriptor. If both numbers are equal, `dup2` does nothing, so
            // `fcntl` clears the flag.
            if libc::dup2(held, given) < 0 || libc::fcntl(given, libc::F_SETFD, 0) < 0 {
                return SpawnStage::Output;
            }
        }
        for limit in &prepared.limits {
            let wanted = [limit.soft, limit.hard];
            let before = ptr::null_mut::<libc::rlimit64>();
            if libc::syscall(libc::SYS_prlimit64, 0, limit.resource, wanted.as_ptr(), before) < 0 {
                return SpawnStage::Limit;
            }
        }
        let (arguments, environment) = (&prepared.arguments.pointers, &prepared.environment.pointers);
        libc::execve(prepared.program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        SpawnStage::Exec
    }
}

/// Opens the standard input of the program. On failure, returns a negative number and sets errno to the reason.
///
/// Refuses a named pipe without a writer. An ordinary open would wait until a writer opens the pipe, and the reason for
/// that delay would not be visible.
unsafe fn open_input(path: &CStr) -> RawFd {
    // SAFETY: this code makes only system calls, on memory of the caller and of this stack frame.
    unsafe {
        let input = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_NOCTTY | libc::O_NONBLOCK);
        if input < 0 || libc::fcntl(input, libc::F_SETFL, 0) < 0 {
            return -1;
        }
        let mut status: libc::stat = mem::zeroed();
        let is_pipe =
            libc::fstat(input, &raw mut status) == 0 && status.st_mode & libc::S_IFMT == libc::S_IFIFO;
        if is_pipe && !has_writer(input) {
            *libc::__errno_location() = libc::ENXIO;
            return -1;
        }
        input
    }
}

/// Returns true if a named pipe contains data or has a writer. Leaves the data in the pipe.
unsafe fn has_writer(input: RawFd) -> bool {
    // SAFETY: this code makes only system calls, on memory of this stack frame.
    unsafe {
        let mut copy = [0; 2];
        if libc::pipe2(copy.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
            return true;
        }
        // `tee` returns zero if the pipe is empty and has no writer.
        let copied = libc::tee(input, copy[1], 1, libc::SPLICE_F_NONBLOCK);
        libc::close(copy[0]);
        libc::close(copy[1]);
        copied != 0
    }
}

unsafe fn reset_signals() {
    // The kernel's sigaction structure: handler, flags, restorer, mask. If all fields are zero, it selects the default
    // action.
    let default = [0_u64; 4];
    // SAFETY: the kernel only reads the action, and `sigset_t` is plain memory.
    unsafe {
        for signal in 1..=LAST_SIGNAL {
            // Call the kernel directly, because the C library refuses to change two signals that it uses itself.
            let before = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), before, SIGNAL_SET);
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

unsafe fn close_all_but(ends: &ChildEnds) {
    let stdin = ends.stdin.unwrap_or(ends.gate);
    let progress = ends.progress.map_or(ends.gate, |progress| progress.held);
    let mut kept = [ends.gate, ends.report, ends.stdout, ends.stderr, stdin, progress];
    kept.sort_unstable();
    let mut from = 3;
    for fd in kept {
        if fd > from {
            // SAFETY: the child uses no descriptor of the shim other than those in `kept`.
            unsafe { close_between(from, fd - 1) };
        }
        from = from.max(fd + 1);
    }
    // SAFETY: the child uses no descriptor of the shim other than those in `kept`.
    unsafe { close_between(from, RawFd::MAX) };
}

unsafe fn close_between(first: RawFd, last: RawFd) {
    // SAFETY: the caller guarantees that the descriptors in this range are not used.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0_u32) < 0 {
            for fd in first..=last.min(1_024) {
                libc::close(fd);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, WaitOptions, waitpid};

    #[test]
    fn child_whose_gate_closes_ends_in_a_way_that_no_command_does() {
        let mut launch = LaunchOrder::new("0b8e1e6a", 1, "/bin/true");
        launch.directory = "/tmp".into();
        let gated = spawn(&launch, InheritedFiles::default(), None, &[]).unwrap();
        let pid = Pid::from_raw(gated.pid.cast_signed());
        drop(gated);
        let (_, status) = waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
        assert_eq!((status.exit_status(), status.terminating_signal()), (None, Some(9)));
    }
}
