//! Reads the state of one process from `/proc/<pid>/stat`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read as _,
};

use crate::channel::ATTEMPT_ARGUMENT;

const STAT: usize = 1 << 10;
const TICK_MS: u64 = 10;
const COMMAND_LINE: u64 = 8 << 10;
/// Kernel flag `PF_EXITING`: the process is exiting.
const EXITING: u32 = 0x4;
const SIGKILL: i32 = 9;

/// State of one process at one moment, as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// Id of the process.
    pub pid: u32,
    /// Id of the parent process.
    pub parent: u32,
    /// Id of the process group.
    pub group: u32,
    /// Id of the session.
    pub session: u32,
    /// True if the process has a controlling terminal.
    pub has_terminal: bool,
    /// Processor time that the process used without its children, in clock ticks. One second has 100 ticks on every
    /// machine.
    pub used: u64,
    /// Processor time that was used by children that the process has waited for, in clock ticks.
    pub waited_for: u64,
    /// Start time of the process in clock ticks since boot. The pid and the start time together are unique.
    pub start_time: u64,
    /// Number of threads of the process.
    pub threads: u64,
    /// Wait status of a process that has ended, or of a living process that received a fatal signal. Also zero if the
    /// kernel hides the status from this program.
    shown_status: i32,
    flags: u32,
    state: u8,
}

impl ProcessStat {
    /// Reads the state of a process. Returns `None` if there is no process with this pid.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let mut buffer = [0; STAT];
        let got = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        Self::parse(pid, buffer.get(..got)?)
    }

    /// Returns the wait status of an ended process, or `None` in these cases:
    /// - The process is alive.
    /// - The process was already reaped.
    /// - The kernel hides the status from this program.
    ///
    /// The kernel shows the status only to programs that may trace the process; all other programs read 0. Even a
    /// program of the same user may not trace a process that is not dumpable, or whose executable the user cannot read.
    #[must_use]
    pub fn wait_status(pid: u32, start_time: u64) -> Option<i32> {
        // Reading this link requires the same permission as reading the wait status, both before and after the process
        // has ended.
        let may_trace = fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok();
        let stat = Self::read(pid).filter(|stat| stat.start_time == start_time && stat.is_dead())?;
        (may_trace || stat.shown_status != 0).then_some(stat.shown_status)
    }

    /// Reads the state of all processes.
    #[must_use]
    pub fn everyone() -> Vec<Self> {
        Self::everyone_but(&BTreeSet::new())
    }

    /// Returns the ids of all processes.
    #[must_use]
    pub fn pids() -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Reads the state of all processes that are not in `known`, which is faster than reading the state of all
    /// processes.
    pub(crate) fn everyone_but(known: &BTreeSet<u32>) -> Vec<Self> {
        Self::pids().into_iter().filter(|pid| !known.contains(pid)).filter_map(Self::read).collect()
    }

    /// Returns the pid and the start time of the process. Together they identify the process, even if the kernel reuses
    /// its pid.
    #[must_use]
    pub const fn birth(&self) -> (u32, u64) {
        (self.pid, self.start_time)
    }

    /// Returns the processor time of the process without its children, in milliseconds.
    #[must_use]
    pub fn used_ms(&self) -> u64 {
        self.used.saturating_mul(TICK_MS)
    }

    /// Returns true if no thread of the process is running any more.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        // State `Z` (zombie) alone does not prove that the process has ended: a process whose first thread ended before
        // its other threads has this state too.
        matches!(self.state, b'X' | b'x') || self.state == b'Z' && self.threads <= 1
    }

    /// Returns true if the process has ended, is exiting, or was killed by SIGKILL. The kernel shows a SIGKILL since
    /// Linux 5.17.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let exits = self.threads <= 1 && self.flags & EXITING != 0;
        self.is_dead() || exits || self.shown_status & 0x7f == SIGKILL
    }

    /// Returns true if a signal or a tracer has stopped the process.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Returns true if the process cannot execute an instruction until one of `others` continues.
    ///
    /// A process is in this state if it is waiting in `vfork` for a child that was stopped before it executed its
    /// program. No signal interrupts this wait, so the process itself cannot be stopped.
    #[must_use]
    pub fn waits_for_one_of<'a>(&self, mut others: impl Iterator<Item = &'a Self>) -> bool {
        self.state == b'D' && others.any(|other| other.parent == self.pid && other.is_stopped())
    }

    /// Returns true if the first command-line argument of a process is [`ATTEMPT_ARGUMENT`], which makes a program run
    /// as a shim.
    #[must_use]
    pub fn has_shim_arguments(pid: u32) -> bool {
        let mut bytes = Vec::new();
        let Ok(file) = File::open(format!("/proc/{pid}/cmdline")) else {
            return false;
        };
        let read = file.take(COMMAND_LINE).read_to_end(&mut bytes);
        read.is_ok() && bytes.split(|byte| *byte == 0).nth(1) == Some(ATTEMPT_ARGUMENT.as_bytes())
    }

    fn parse(pid: u32, bytes: &[u8]) -> Option<Self> {
        // Search for the last parenthesis: the process name is in parentheses and may itself contain parentheses.
        let behind_name = bytes.iter().rposition(|byte| *byte == b')')?.checked_add(2)?;
        let text = std::str::from_utf8(bytes.get(behind_name..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        let has_terminal = fields.next()?.parse::<i64>().ok()? != 0;
        let flags = fields.nth(1)?.parse().ok()?;
        let mut ticks = fields.by_ref().skip(4).map(|field| field.parse::<u64>().ok());
        let used = ticks.next()??.saturating_add(ticks.next()??);
        let waited_for = ticks.next()??.saturating_add(ticks.next()??);
        let threads = fields.nth(2)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        let shown_status = fields.nth(29)?.parse().ok()?;
        Some(Self {
            pid,
            parent,
            group,
            session,
            has_terminal,
            used,
            waited_for,
            start_time,
            shown_status,
            flags,
            state,
            threads,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_name() {
        let begin = "77 (a) R 1 (b) T 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 3 22 999";
        let line = format!("{begin}{} 256\n", " 0".repeat(29));
        let stat = ProcessStat::parse(77, line.as_bytes()).unwrap();
        assert_eq!((stat.parent, stat.session, stat.threads, stat.start_time), (5, 7, 3, 999));
        assert_eq!((stat.group, stat.used, stat.waited_for), (6, 15 + 16, 17 + 18));
        assert!(stat.is_stopped() && !stat.is_dead() && stat.shown_status == 256);
    }

    #[test]
    fn zombie_with_threads_left_is_alive() {
        let line = |threads| {
            let zeros = " 0".repeat(29);
            format!("7 (a) Z 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 {threads} 22 1{zeros} 0")
        };
        assert!(ProcessStat::parse(7, line(1).as_bytes()).unwrap().is_dead());
        assert!(!ProcessStat::parse(7, line(2).as_bytes()).unwrap().is_dead());
    }

    #[test]
    fn process_that_exits_or_was_killed_is_ending() {
        let ending = |state, flags, threads, raw_status| {
            let zeros = " 0".repeat(29);
            let line = format!(
                "7 (a) {state} 5 6 7 8 9 {flags} 11 12 13 14 15 16 17 18 19 20 {threads} 22 1{zeros} {raw_status}"
            );
            ProcessStat::parse(7, line.as_bytes()).unwrap().is_ending()
        };
        assert!(ending('Z', 0, 1, 0) && ending('R', EXITING, 1, 0) && ending('D', 0, 5, SIGKILL));
        assert!(!ending('S', 0, 1, 0));
        assert!(!ending('S', EXITING, 2, 0), "only its first thread has ended");
        assert!(!ending('T', 0, 1, 19), "it was halted");
    }

    #[test]
    fn only_a_parent_of_a_stopped_child_waits_in_vfork() {
        let read = |pid, state, parent| {
            let line = format!("{pid} (a) {state} {parent} 6 7{} 0", " 0".repeat(46));
            ProcessStat::parse(pid, line.as_bytes()).unwrap()
        };
        let parent = read(5, "D", 1);
        for (child, expected) in [(read(6, "T", 5), true), (read(6, "S", 5), false), (read(6, "T", 7), false)]
        {
            assert_eq!(parent.waits_for_one_of([&child].into_iter()), expected);
        }
        assert!(!read(5, "S", 1).waits_for_one_of([&read(6, "T", 5)].into_iter()));
    }

    #[test]
    fn this_process_is_among_all_and_no_shim() {
        let me = std::process::id();
        assert!(ProcessStat::everyone().iter().any(|stat| stat.pid == me));
        assert!(!ProcessStat::has_shim_arguments(me));
    }
}
