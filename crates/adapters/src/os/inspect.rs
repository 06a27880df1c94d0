//! Inspects the process tree of a live attempt: determines whether it is waiting for input and on which ports it
//! listens.
//!
//! A process waits for input if one of its threads sleeps in a read of
//! - a terminal, or
//! - a pipe that no process in the tree can write to. In `job | tee log`, for example, `tee` does not wait for input.
//!
//! A process that polls does not count as waiting for input, unless it polls only its standard input and this is a
//! terminal. Line editors do this. Any other sleep (a timer, an accept, a futex) is not a wait for input.
//!
//! The kernel shows the current system call of a thread to root, to ancestors, and to programs of the same user if
//! `kernel.yama.ptrace_scope` is 0. Without that permission, the wait channel is used. It shows neither the descriptor
//! nor the polled files, so that only reads of the standard input are found. Some programs, such as those with the
//! rights of another user, cannot be inspected at all. If a program of the tree cannot be inspected, reads of pipes do
//! not count as waiting for input, because this program may be the writer.

mod files;
mod idle;
mod ports;
mod scan;
mod sleeping;

use super::procfs;
use super::usage::TreeMembers;
use files::{OpenFile, PipeId};
use idle::IdleFingerprint;
use longhaul_ports::{MAX_MEMBERS, TreeSnapshot};
use longhaul_shim::ProcessStat;
pub(super) use ports::port_holder;
use scan::TreeScan;
use sleeping::WaitChannel;
use std::path::Path;
use std::time::{Duration, Instant};

const STDIN: u64 = 0;
/// Maximum age of a cached result. A result cannot stay valid forever, because another program may join the control
/// group of the tree.
const LASTS: Duration = Duration::from_secs(600);

/// Result of an inspection, with the data that shows whether the result is still valid.
#[derive(Clone, Debug)]
pub(super) struct CachedSnapshot {
    tree: TreeSnapshot,
    at: Instant,
    idle: Option<IdleFingerprint>,
}

/// Inspects the processes of a tree. Returns `None` if no process of the tree is alive.
pub(super) fn into(census: &TreeMembers, cgroup: Option<&Path>) -> Option<CachedSnapshot> {
    let members = census.members.as_slice();
    if members.is_empty() {
        return None;
    }
    let (at, idle) = (Instant::now(), IdleFingerprint::of(members));
    let awaited = awaited_by(members);
    let scan = TreeScan::of(members, &awaited.pipes);
    let waits_for_pipe = awaited.pipes.iter().any(|pipe| scan.surely_lacks_writer(*pipe));
    let tree = TreeSnapshot {
        waits_for_input: awaited.terminal || waits_for_pipe,
        has_terminal: scan.has_terminal || members.iter().any(|stat| stat.has_terminal),
        listening: ports::listening(&scan.sockets),
        cpu: census.processor_time(cgroup),
        members: members.iter().map(|stat| stat.pid).take(MAX_MEMBERS).collect(),
    };
    Some(CachedSnapshot { tree, at, idle })
}

impl CachedSnapshot {
    pub(super) const fn tree(&self) -> &TreeSnapshot {
        &self.tree
    }

    /// Returns true if a new inspection would give the same result. Needs only a few small reads that never block.
    pub(super) fn lasts(&self) -> bool {
        self.at.elapsed() < LASTS && self.idle.as_ref().is_some_and(IdleFingerprint::lasts)
    }
}

/// The inputs that the threads of a tree are waiting for.
#[derive(Default)]
struct AwaitedInputs {
    terminal: bool,
    pipes: Vec<PipeId>,
}

fn awaited_by(members: &[ProcessStat]) -> AwaitedInputs {
    let mut all = AwaitedInputs::default();
    // A stopped process waits for a signal, not for input.
    for stat in members.iter().filter(|stat| !stat.is_stopped()) {
        for thread in procfs::threads(stat) {
            match awaited(stat.pid, WaitChannel::of(stat.pid, thread)) {
                AwaitedInput::Terminal => all.terminal = true,
                AwaitedInput::Pipe(pipe) => all.pipes.push(pipe),
                AwaitedInput::Other => {}
            }
        }
    }
    all
}

/// The input that one thread is waiting for.
#[derive(Debug)]
enum AwaitedInput {
    Terminal,
    Pipe(PipeId),
    Other,
}

fn awaited(pid: u32, sleep: WaitChannel) -> AwaitedInput {
    match sleep {
        WaitChannel::Reading { fd } => match OpenFile::of(pid, fd) {
            OpenFile::Terminal => AwaitedInput::Terminal,
            OpenFile::Pipe(pipe) => AwaitedInput::Pipe(pipe),
            OpenFile::Other => AwaitedInput::Other,
        },
        WaitChannel::Polling { only: STDIN } if OpenFile::of(pid, STDIN).is_terminal() => {
            AwaitedInput::Terminal
        }
        WaitChannel::InPipe => match OpenFile::of(pid, STDIN) {
            OpenFile::Pipe(pipe) => AwaitedInput::Pipe(pipe),
            OpenFile::Terminal | OpenFile::Other => AwaitedInput::Other,
        },
        WaitChannel::InTerminal { surely } => {
            // A thread that reads from a socket sleeps in the same kernel function as one that reads from a terminal.
            let reads_it = surely || !scan::has_sockets(pid);
            if reads_it && OpenFile::of(pid, STDIN).is_terminal() {
                AwaitedInput::Terminal
            } else {
                AwaitedInput::Other
            }
        }
        WaitChannel::Polling { .. } | WaitChannel::Otherwise => AwaitedInput::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{BorrowedFd, RawFd};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    const SOON: Duration = Duration::from_secs(20);
    const STEP: Duration = Duration::from_millis(5);

    /// Polls a condition until it is true.
    fn until(mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + SOON;
        while !is_so() {
            assert!(Instant::now() < end, "it did not come to be");
            std::thread::sleep(STEP);
        }
    }

    /// Determines the awaited input from the wait channel only, as on systems that hide system calls.
    fn by_channel(pid: u32) -> AwaitedInput {
        awaited(pid, WaitChannel::by_channel(pid, pid))
    }

    /// Prevents children from inheriting more than the first three descriptors. With an inherited socket of the test
    /// runner, a child that reads from a terminal could be mistaken for one that reads from a connection.
    fn keep_descriptors() {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let numbers = open.map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap());
        for number in numbers.filter(|number: &RawFd| *number > 2) {
            #[expect(unsafe_code, reason = "a descriptor that was left open has no owner here")]
            // SAFETY: the flag changes nothing in this process. If the descriptor is already closed, the call fails
            // with an error.
            let inherited = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC);
        }
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn reader_of_its_input_is_recognised_by_its_wait_channel() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let cat = Command::new("cat").stdin(reader).spawn().unwrap();
        until(|| matches!(by_channel(cat.id()), AwaitedInput::Pipe(_)));
        end(cat);
    }

    #[test]
    fn reader_of_its_terminal_is_recognised_by_its_wait_channel() {
        let mut script = Command::new("script");
        script.args(["-qc", "exec cat", "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
        keep_descriptors();
        let Ok(script) = script.spawn() else {
            eprintln!("SKIPPED: script is not installed");
            return;
        };
        until(|| {
            let children = ProcessStat::read(script.id()).map(|stat| procfs::children(&stat));
            children.into_iter().flatten().any(|cat| matches!(by_channel(cat), AwaitedInput::Terminal))
        });
        end(script);
    }

    #[test]
    fn reader_of_another_pipe_is_not_mistaken_for_a_reader_of_its_input() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut sh = Command::new("sh");
        sh.args(["-c", "exec cat /dev/fd/3 3<&0 </dev/null"]).stdin(reader);
        let sh = sh.spawn().unwrap();
        let pid = sh.id();
        until(|| matches!(awaited(pid, WaitChannel::of(pid, pid)), AwaitedInput::Pipe(_)));
        assert!(matches!(by_channel(pid), AwaitedInput::Other));
        end(sh);
    }
}
