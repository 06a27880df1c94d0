//! What the kernel says about processes.

use std::fs;

/// The part of `/proc/<pid>/stat` that tests ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// R, S, D, T, Z, …
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Its session.
    pub session: u32,
    /// Processor time, in ticks.
    pub ticks: u64,
}

/// What the kernel says about a process; none if there is none.
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
    })
}

/// Whether a process runs: a zombie does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z' && stat.state != 'X')
}

/// Processor time of a process, in ticks; 0 if there is none.
#[must_use]
pub fn ticks(pid: u32) -> u64 {
    stat(pid).map_or(0, |stat| stat.ticks)
}

/// Every process below `pid`.
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
/// When `kill` cannot be run.
#[expect(clippy::unwrap_used, reason = "a test without kill(1) cannot go on")]
pub fn kill(signal: &str, pid: u32) {
    let status = std::process::Command::new("kill").args([signal, &pid.to_string()]).status();
    status.unwrap();
}
