//! Reads information about processes from `/proc`, and sends signals to processes.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// The fields of `/proc/<pid>/stat` that tests use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// State letter: R, S, D, T, Z, …
    pub state: char,
    /// Pid of the parent process.
    pub parent: u32,
    /// Session id.
    pub session: u32,
    /// Processor time that the process has used, in clock ticks.
    pub ticks: u64,
    /// Number of threads that have not ended. The main thread of a zombie counts too.
    pub threads: u64,
}

/// Reads the status of a process. Returns `None` if no process has this pid.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(1)?).ok()?,
        session: u32::try_from(number(3)?).ok()?,
        ticks: number(11)? + number(12)?,
        threads: number(17)?,
    })
}

/// Returns true if a process is running. A zombie counts as running only if it has other live threads, because these
/// keep its files open.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.threads > 1 || (stat.state != 'Z' && stat.state != 'X'))
}

/// Returns the processor time of a process in clock ticks, or 0 if no process has this pid.
#[must_use]
pub fn ticks(pid: u32) -> u64 {
    stat(pid).map_or(0, |stat| stat.ticks)
}

/// Returns the pids of all descendants of `pid`.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.remove(0);
    found
}

/// Sends a signal to a process that this test started.
///
/// # Panics
/// If the signal may not be sent.
pub fn kill(signal: &str, pid: u32) {
    kill_together(signal, &[pid]);
}

/// Sends a signal to several processes without a delay in between. Skips processes that have exited.
///
/// # Panics
/// If a signal may not be sent, or is not one of those that tests use.
#[expect(clippy::panic, reason = "a test that cannot send a signal cannot go on")]
pub fn kill_together(signal: &str, pids: &[u32]) {
    let number = match signal {
        "-KILL" => Signal::KILL,
        "-TERM" => Signal::TERM,
        "-STOP" => Signal::STOP,
        "-CONT" => Signal::CONT,
        "-SEGV" => Signal::SEGV,
        _ => panic!("{signal} is not a signal that tests send"),
    };
    for pid in pids {
        let sent = pid.cast_signed();
        match Pid::from_raw(sent).map_or(Err(Errno::SRCH), |pid| kill_process(pid, number)) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => panic!("{signal} cannot be sent to {pid}: {error}"),
        }
    }
}
