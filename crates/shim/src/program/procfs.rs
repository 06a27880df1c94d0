//! What the kernel tells about processes in `/proc`.

use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _};

use crate::channel::ATTEMPT_ARGUMENT;

const STAT: usize = 1 << 10;
/// A hundred ticks a second is what the kernel shows, however it counts.
const TICK_MS: u64 = 10;
const COMMAND_LINE: u64 = 8 << 10;

/// The part of `/proc/<pid>/stat` that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessStat {
    pub(super) pid: u32,
    pub(super) state: u8,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) threads: u64,
    /// The processor time that it used itself, in clock ticks.
    pub(super) ticks: u64,
    /// In clock ticks since boot; with the pid it names one process for ever.
    pub(super) start_time: u64,
}

impl ProcessStat {
    pub(super) fn read(pid: u32) -> Option<Self> {
        let mut buffer = [0; STAT];
        let got = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        Self::parse(pid, buffer.get(..got)?)
    }

    fn parse(pid: u32, bytes: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may hold anything, parentheses too.
        let behind_name = bytes.iter().rposition(|byte| *byte == b')')?.checked_add(2)?;
        let text = std::str::from_utf8(bytes.get(behind_name..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let user: u64 = fields.nth(8)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let threads = fields.nth(4)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        let ticks = user.saturating_add(system);
        Some(Self { pid, state, parent, group, threads, ticks, start_time })
    }

    /// Returns the processor time that it used itself, in milliseconds.
    pub(super) fn cpu_ms(&self) -> u64 {
        self.ticks.saturating_mul(TICK_MS)
    }

    /// Tells whether no thread of it runs any more.
    pub(super) fn is_dead(&self) -> bool {
        // A first thread that ended before the others looks like a zombie too.
        matches!(self.state, b'X' | b'x') || self.state == b'Z' && self.threads <= 1
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// The executable of this program, to recognise other shims by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Executable {
    device: u64,
    inode: u64,
}

impl Executable {
    pub(super) fn of(process: &str) -> Option<Self> {
        let metadata = fs::metadata(format!("/proc/{process}/exe")).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Tells whether a process was started as a shim, by its first argument.
pub(super) fn has_shim_arguments(pid: u32) -> bool {
    let mut bytes = Vec::new();
    let Ok(file) = fs::File::open(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let read = file.take(COMMAND_LINE).read_to_end(&mut bytes);
    read.is_ok() && bytes.split(|byte| *byte == 0).nth(1) == Some(ATTEMPT_ARGUMENT.as_bytes())
}

/// Where children of a process are looked up.
pub(super) enum Family {
    /// In the kernel's own lists.
    Kernel,
    /// In a look at all processes, where the kernel keeps no lists for us.
    Everyone(Vec<ProcessStat>),
}

impl Family {
    /// Finds out which of both works here; all processes are looked at now if the second.
    pub(super) fn now(kernel_lists: bool) -> Self {
        if kernel_lists { Self::Kernel } else { Self::Everyone(everyone()) }
    }

    pub(super) fn kernel_has_lists() -> bool {
        fs::exists("/proc/thread-self/children").unwrap_or(false)
    }

    pub(super) fn children(&self, pid: u32) -> Vec<u32> {
        match self {
            Self::Kernel => listed_children(pid),
            Self::Everyone(all) => {
                all.iter().filter(|each| each.parent == pid).map(|each| each.pid).collect()
            }
        }
    }
}

/// Looks at every process that there is.
pub(super) fn everyone() -> Vec<ProcessStat> {
    numbers_in("/proc").into_iter().filter_map(ProcessStat::read).collect()
}

fn listed_children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for thread in numbers_in(&format!("/proc/{pid}/task")) {
        if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")) {
            children.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    children
}

fn numbers_in(directory: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_name() {
        let line = b"77 (a) R 1 (b) T 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 3 22 999 0";
        let stat = ProcessStat::parse(77, line).unwrap();
        let expected =
            ProcessStat { pid: 77, state: b'T', parent: 5, group: 6, threads: 3, ticks: 31, start_time: 999 };
        assert_eq!(stat, expected);
        assert!(stat.is_stopped() && !stat.is_dead());
    }

    #[test]
    fn zombie_with_threads_left_is_alive() {
        let line = |threads| format!("7 (a) Z 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 {threads} 22 1 0");
        assert!(ProcessStat::parse(7, line(1).as_bytes()).unwrap().is_dead());
        assert!(!ProcessStat::parse(7, line(2).as_bytes()).unwrap().is_dead());
    }

    #[test]
    fn both_ways_find_the_same_children() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let me = std::process::id();
        for family in [Family::now(Family::kernel_has_lists()), Family::now(false)] {
            assert!(family.children(me).contains(&child.id()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
