//! What the kernel tells about processes in `/proc`.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const STAT: usize = 1 << 10;
const COMMAND_LINE: u64 = 8 << 10;
const LARGEST_ENVIRONMENT: u64 = 512 << 10;

/// The part of `/proc/<pid>/stat` that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessStat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) session: u32,
    /// The processor time that it used itself, in clock ticks.
    pub(super) used: u64,
    /// The same of the children that it has waited for.
    pub(super) waited_for: u64,
    /// In clock ticks since boot; with the pid it names one process for ever.
    pub(super) start_time: u64,
    /// How it ended, as `wait` would tell it; only if it has, and where this program may know.
    pub(super) raw_status: i32,
    state: u8,
    threads: u64,
}

impl ProcessStat {
    pub(super) fn read(pid: u32) -> Option<Self> {
        let mut buffer = [0; STAT];
        let got = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        Self::parse(pid, buffer.get(..got)?)
    }

    /// Tells whether no thread of it runs any more.
    pub(super) fn is_dead(&self) -> bool {
        // A first thread that ended before the others looks like a zombie too.
        matches!(self.state, b'X' | b'x') || self.state == b'Z' && self.threads <= 1
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Tells whether it waits inside the kernel for what no signal interrupts.
    ///
    /// Once a signal is sent to it, it executes no further instruction of its program before it has acted on that.
    pub(super) fn is_inside_kernel(&self) -> bool {
        self.state == b'D'
    }

    fn parse(pid: u32, bytes: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may hold anything, parentheses too.
        let behind_name = bytes.iter().rposition(|byte| *byte == b')')?.checked_add(2)?;
        let text = std::str::from_utf8(bytes.get(behind_name..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        let mut ticks = fields.by_ref().skip(7).map(|field| field.parse::<u64>().ok());
        let used = ticks.next()??.saturating_add(ticks.next()??);
        let waited_for = ticks.next()??.saturating_add(ticks.next()??);
        let threads = fields.nth(2)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        let raw_status = fields.nth(29)?.parse().ok()?;
        Some(Self { pid, parent, group, session, used, waited_for, start_time, raw_status, state, threads })
    }
}

/// A file by its identity, to recognise the programs that processes execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    pub(super) fn of_process(pid: u32) -> Option<Self> {
        Self::of(Path::new(&format!("/proc/{pid}/exe")))
    }
}

/// Tells whether the environment that a process was started with holds all these entries.
pub(super) fn was_started_with(pid: u32, entries: &[String]) -> bool {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let read = file.take(LARGEST_ENVIRONMENT).read_to_end(&mut bytes);
    let has = |entry: &String| bytes.split(|byte| *byte == 0).any(|each| each == entry.as_bytes());
    read.is_ok() && entries.iter().all(has)
}

/// The children of this program, whichever of its threads made or adopted them; none where the kernel does not list them.
pub(super) fn own_children() -> Option<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(listed) => {
                children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()))
            }
            // A thread that ended meanwhile has left its children to another one.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(children)
}

/// The children of a process, as the kernel lists them for each of its threads; without such lists, by a look at all.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(listed) => {
                children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()))
            }
            // A thread that ended meanwhile has left its children to another one.
            Err(_) if !thread.path().exists() => {}
            Err(_) => {
                let all = everyone().into_iter().filter(|each| each.parent == pid);
                return all.map(|each| each.pid).collect();
            }
        }
    }
    children
}

/// Tells whether a process was started with a word as its first argument.
pub(super) fn has_first_argument(pid: u32, word: &str) -> bool {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let read = file.take(COMMAND_LINE).read_to_end(&mut bytes);
    read.is_ok() && bytes.split(|byte| *byte == 0).nth(1) == Some(word.as_bytes())
}

/// The limits of a live process by their names in `/proc`, each with its soft and its hard value; none is unlimited.
pub(super) fn limit(pid: u32, name: &str) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut fields = line.split_ascii_whitespace();
    let soft = fields.next()?.parse().ok()?;
    Some((soft, fields.next()?.parse().unwrap_or(u64::MAX)))
}

/// Looks at every process that there is.
pub(super) fn everyone() -> Vec<ProcessStat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(ProcessStat::read).collect()
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
        assert!(stat.is_stopped() && !stat.is_dead() && stat.raw_status == 256);
    }

    #[test]
    fn this_process_is_known_by_its_environment_and_its_file() {
        let me = std::process::id();
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        assert!(was_started_with(me, std::slice::from_ref(&path)));
        assert!(!was_started_with(me, &[path, "LONGHAUL_NO_SUCH=1".to_owned()]));
        let exe = std::env::current_exe().unwrap();
        assert_eq!(FileIdentity::of(&exe), FileIdentity::of_process(me));
        assert!(everyone().iter().any(|stat| stat.pid == me));
    }
}
