//! A look into the tree of a live attempt: whether it waits for input, and where it listens.
//!
//! A process waits for input when one of its threads sleeps in a read of a terminal, or of a pipe that nobody in the tree
//! can write to: whoever reads what another of them is going to write, as in `job | tee log`, does not. Whoever polls
//! does not either, except for those who poll nothing but the terminal that is their standard input, as line editors do.
//! What is blocked otherwise, in a sleep, an accept, a futex, waits for something else.
//!
//! The kernel tells the system call a thread sleeps in to root, to ancestors, and to the same user where
//! `kernel.yama.ptrace_scope` is 0. Without that its wait channel is taken, which names neither the descriptor nor what is
//! polled: a read of anything but the standard input is not found then. Of programs that may not be looked into at all,
//! such as those with the rights of another user, nothing is known, and then pipes are left out, because one of them may
//! be the writer.

mod files;
mod ports;
mod sleeping;
mod still;
mod survey;

use super::procfs;
use super::usage::Census;
use files::{Opened, PipeId};
use longhaul_ports::{MOST_MEMBERS, TreeLook};
use longhaul_shim::ProcessStat;
use sleeping::Sleep;
use std::path::Path;
use std::time::{Duration, Instant};
use still::Stillness;
use survey::Survey;

const STDIN: u64 = 0;
/// What was found is found again without a look for so long at most: somebody may have put a process of his own into the
/// control group of a tree.
const LASTS: Duration = Duration::from_secs(600);

/// What a look found, and until when another one finds the same.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    tree: TreeLook,
    at: Instant,
    still: Option<Stillness>,
}

/// Looks at the processes of a census; none if nobody is left.
pub(super) fn into(census: &Census, cgroup: Option<&Path>) -> Option<Sight> {
    let members = census.members.as_slice();
    if members.is_empty() {
        return None;
    }
    let (at, still) = (Instant::now(), Stillness::of(members));
    let awaited = awaited_by(members);
    let survey = Survey::of(members, &awaited.pipes);
    let waits_for_pipe = awaited.pipes.iter().any(|pipe| survey.surely_lacks_writer(*pipe));
    let tree = TreeLook {
        waits_for_input: awaited.terminal || waits_for_pipe,
        has_terminal: survey.has_terminal || members.iter().any(|stat| stat.has_terminal),
        listening: ports::listening(&survey.sockets),
        cpu: census.processor_time(cgroup),
        members: members.iter().map(|stat| stat.pid).take(MOST_MEMBERS).collect(),
    };
    Some(Sight { tree, at, still })
}

impl Sight {
    /// What was found.
    pub(super) const fn tree(&self) -> &TreeLook {
        &self.tree
    }

    /// Tells whether a look would find the same now, by a few small reads that wait for nobody.
    pub(super) fn lasts(&self) -> bool {
        self.at.elapsed() < LASTS && self.still.as_ref().is_some_and(Stillness::lasts)
    }
}

/// What the threads of a tree wait for.
#[derive(Default)]
struct AllAwaited {
    terminal: bool,
    pipes: Vec<PipeId>,
}

fn awaited_by(members: &[ProcessStat]) -> AllAwaited {
    let mut all = AllAwaited::default();
    // What is halted waits for whoever halted it.
    for stat in members.iter().filter(|stat| !stat.is_stopped()) {
        for thread in procfs::threads(stat) {
            match awaited(stat.pid, Sleep::of(stat.pid, thread)) {
                Awaited::Terminal => all.terminal = true,
                Awaited::Pipe(pipe) => all.pipes.push(pipe),
                Awaited::Other => {}
            }
        }
    }
    all
}

/// What input a thread waits for.
#[derive(Debug)]
enum Awaited {
    Terminal,
    Pipe(PipeId),
    Other,
}

fn awaited(pid: u32, sleep: Sleep) -> Awaited {
    match sleep {
        Sleep::Reading { fd } => match Opened::of(pid, fd) {
            Opened::Terminal => Awaited::Terminal,
            Opened::Pipe(pipe) => Awaited::Pipe(pipe),
            Opened::Other => Awaited::Other,
        },
        Sleep::Polling { only: STDIN } if Opened::of(pid, STDIN).is_terminal() => Awaited::Terminal,
        Sleep::InPipe => match Opened::of(pid, STDIN) {
            Opened::Pipe(pipe) => Awaited::Pipe(pipe),
            Opened::Terminal | Opened::Other => Awaited::Other,
        },
        Sleep::InTerminal { surely } => {
            // Who reads from a connection sleeps in the same place.
            let reads_it = surely || !survey::has_sockets(pid);
            if reads_it && Opened::of(pid, STDIN).is_terminal() { Awaited::Terminal } else { Awaited::Other }
        }
        Sleep::Polling { .. } | Sleep::Otherwise => Awaited::Other,
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

    /// Asks again and again until something is so.
    fn until(mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + SOON;
        while !is_so() {
            assert!(Instant::now() < end, "it did not come to be");
            std::thread::sleep(STEP);
        }
    }

    /// What a process waits for as far as its wait channel tells, as where the kernel tells no system calls.
    fn by_channel(pid: u32) -> Awaited {
        awaited(pid, Sleep::by_channel(pid, pid))
    }

    /// Lets no child inherit more than the first three descriptors: a socket that whoever runs the tests left open would
    /// make a reader of a terminal look like one of a connection.
    fn keep_descriptors() {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let numbers = open.map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap());
        for number in numbers.filter(|number: &RawFd| *number > 2) {
            #[expect(unsafe_code, reason = "a descriptor that was left open has no owner here")]
            // SAFETY: the mark changes nothing in this process, and a descriptor that is closed by now is refused.
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
        until(|| matches!(by_channel(cat.id()), Awaited::Pipe(_)));
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
            children.into_iter().flatten().any(|cat| matches!(by_channel(cat), Awaited::Terminal))
        });
        end(script);
    }

    #[test]
    fn reader_of_something_else_is_not_taken_for_one_of_its_input_by_its_wait_channel() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut sh = Command::new("sh");
        sh.args(["-c", "exec cat /dev/fd/3 3<&0 </dev/null"]).stdin(reader);
        let sh = sh.spawn().unwrap();
        let pid = sh.id();
        until(|| matches!(awaited(pid, Sleep::of(pid, pid)), Awaited::Pipe(_)));
        assert!(matches!(by_channel(pid), Awaited::Other));
        end(sh);
    }
}
