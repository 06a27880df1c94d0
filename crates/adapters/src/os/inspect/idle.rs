//! Detects whether any thread of a process tree has run since the last inspection. If no thread has run, the result of
//! that inspection is still valid.
//!
//! Reading, opening a file, listening, forking and exiting all need CPU time. They therefore change the context-switch
//! counters of the thread.

use crate::os::procfs;
use longhaul_shim::ProcessStat;

/// Maximum number of threads to track. Larger trees are inspected again every time.
const MAX_THREADS: usize = 32;
const STATE: &str = "State:";
const SWITCHES: [&str; 2] = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];

/// The context-switch counters of all threads of a sleeping tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdleFingerprint {
    members: Vec<ThreadState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ThreadState {
    pid: u32,
    start_time: u64,
    threads: Vec<(u32, SwitchCounts)>,
}

/// Numbers of voluntary and involuntary context switches of a sleeping thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SwitchCounts([u64; 2]);

impl IdleFingerprint {
    /// Records the counters of a tree. Returns `None` if a thread is not asleep or there are too many threads. Must be
    /// called before the inspection, so that any activity during the inspection invalidates the record.
    pub(super) fn of(members: &[ProcessStat]) -> Option<Self> {
        let mut room = MAX_THREADS;
        let mut noted = Vec::with_capacity(members.len());
        for stat in members {
            let mut threads = Vec::new();
            for thread in procfs::threads(stat) {
                room = room.checked_sub(1)?;
                threads.push((thread, SwitchCounts::of(stat.pid, thread)?));
            }
            noted.push(ThreadState { pid: stat.pid, start_time: stat.start_time, threads });
        }
        Some(Self { members: noted })
    }

    /// Returns true if no thread has run since the counters were recorded.
    pub(super) fn lasts(&self) -> bool {
        self.members.iter().all(|member| {
            let sleeps =
                |(thread, sleep): &(u32, SwitchCounts)| SwitchCounts::of(member.pid, *thread) == Some(*sleep);
            member.threads.iter().all(sleeps)
                && ProcessStat::read(member.pid).is_some_and(|stat| stat.start_time == member.start_time)
        })
    }
}

impl SwitchCounts {
    fn of(pid: u32, thread: u32) -> Option<Self> {
        let status = procfs::read(&format!("/proc/{pid}/task/{thread}/status")).ok()?;
        Self::parse(std::str::from_utf8(&status).ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let [voluntary, forced] = SWITCHES.map(|name| of(name)?.parse().ok());
        of(STATE)?.starts_with('S').then_some(Self([voluntary?, forced?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    fn of(child: &Child) -> Option<IdleFingerprint> {
        IdleFingerprint::of(&[ProcessStat::read(child.id())?])
    }

    /// Waits until a child sleeps and its counters no longer change.
    fn asleep(child: &Child) -> IdleFingerprint {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < end, "it does not sleep");
            let before = of(child);
            std::thread::sleep(Duration::from_millis(50));
            if let Some(still) = before.filter(IdleFingerprint::lasts) {
                return still;
            }
        }
    }

    #[test]
    fn sleeper_is_still_until_it_was_woken_and_has_ended() {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let still = asleep(&cat);
        let mut stdin = cat.stdin.take().unwrap();
        stdin.write_all(b"x").unwrap();
        cat.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert!(!still.lasts(), "it has run, and sleeps in the same place again");
        let again = asleep(&cat);
        assert_ne!(again, still);
        drop(stdin);
        cat.wait().unwrap();
        assert!(!again.lasts());
    }

    #[test]
    fn running_or_stopped_process_is_never_idle() {
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        for _ in 0..20 {
            assert_eq!(of(&busy), None);
            std::thread::sleep(Duration::from_millis(5));
        }
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert_eq!(SwitchCounts::parse("State:\tT (stopped)\nvoluntary_ctxt_switches:\t1\n"), None);
    }

    #[test]
    fn one_inspection_covers_a_tree_of_many_threads() {
        let mut sleep = Command::new("sleep").arg("600").spawn().unwrap();
        asleep(&sleep);
        let stat = ProcessStat::read(sleep.id()).unwrap();
        assert!(IdleFingerprint::of(&vec![stat; MAX_THREADS]).is_some());
        assert!(IdleFingerprint::of(&vec![stat; MAX_THREADS + 1]).is_none());
        sleep.kill().unwrap();
        sleep.wait().unwrap();
    }

    #[test]
    fn state_of_a_thread_is_parsed_from_the_kernel_text() {
        let status = "Name:\tx\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t12\n\
                      nonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(SwitchCounts::parse(status), Some(SwitchCounts([12, 3])));
        for other in [status.replace("S (", "R ("), status.replace("nonvol", "vol"), String::new()] {
            assert_eq!(SwitchCounts::parse(&other), None, "{other}");
        }
    }
}
