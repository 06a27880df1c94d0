//! Reads data about processes from `/proc`.

use longhaul_shim::ProcessStat;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

const MAX_ENVIRONMENT_BYTES: u64 = 512 << 10;
const BLOCK: usize = 1 << 10;

/// Returns true if the start environment of a process contains all these `NAME=value` entries.
pub(super) fn was_started_with(pid: u32, entries: &[String]) -> bool {
    let bytes = environment(pid);
    let has = |entry: &String| bytes.split(|byte| *byte == 0).any(|each| each == entry.as_bytes());
    entries.iter().all(has)
}

/// Returns true if the start environment of a process contains an entry that matches the predicate.
pub(super) fn was_started_with_any(pid: u32, is_of_kind: impl Fn(&[u8]) -> bool) -> bool {
    environment(pid).split(|byte| *byte == 0).any(is_of_kind)
}

/// Returns the `NAME=value` entries of these variables in the start environment of a process. Returns `None` unless all
/// are present.
pub(super) fn entries<const N: usize>(pid: u32, names: [&str; N]) -> Option<[Vec<u8>; N]> {
    let bytes = environment(pid);
    let mut entries = [const { Vec::new() }; N];
    for (name, entry) in names.iter().zip(&mut entries) {
        let is_it =
            |each: &&[u8]| each.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
        *entry = bytes.split(|byte| *byte == 0).find(is_it)?.to_vec();
    }
    Some(entries)
}

/// Returns the environment that a process was started with; empty if it cannot be read.
fn environment(pid: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/environ"))
        && file.take(MAX_ENVIRONMENT_BYTES).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    bytes
}

/// Returns the children of all threads of this program, or `None` if the kernel does not list them.
pub(super) fn own_children() -> Option<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(listed) => {
                children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()))
            }
            // If a thread has just ended, another thread has inherited its children.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(children)
}

/// Returns the children of a process from the lists that the kernel provides for each thread. If the kernel provides no
/// lists of children, scans all processes.
pub(super) fn children(of: &ProcessStat) -> Vec<u32> {
    let pid = of.pid;
    let mut children = Vec::new();
    for thread in threads(of) {
        match read(&format!("/proc/{pid}/task/{thread}/children")) {
            Ok(listed) => {
                let listed = String::from_utf8_lossy(&listed);
                children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            // If a thread has just ended, another thread has inherited its children.
            Err(_) if !Path::new(&format!("/proc/{pid}/task/{thread}")).exists() => {}
            Err(_) => {
                let all = ProcessStat::everyone().into_iter().filter(|each| each.parent == pid);
                return all.map(|each| each.pid).collect();
            }
        }
    }
    children
}

/// Returns the thread ids of a process. Reads `/proc` only if the process has several threads.
pub(super) fn threads(of: &ProcessStat) -> Vec<u32> {
    if of.threads <= 1 {
        return vec![of.pid];
    }
    let entries = fs::read_dir(format!("/proc/{}/task", of.pid)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Reads a small kernel file without requesting its length first, because callers read thousands of such files.
pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    let mut block = [0; BLOCK];
    loop {
        let got = file.read(&mut block)?;
        if got == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(block.get(..got).unwrap_or(&block));
    }
}

/// Returns true if `SIGKILL` is pending for a process.
pub(super) fn was_killed(pid: u32) -> bool {
    const KILL_BIT: u64 = 1 << 8;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = |line: &str| {
        let mask = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    status.lines().filter_map(pending).any(|mask| mask & KILL_BIT != 0)
}

/// Returns the soft and hard value of a resource limit of a live process. `name` is the name of the limit in `/proc`.
/// Returns `None` if the soft limit is unlimited or cannot be read.
pub(super) fn limit(pid: u32, name: &str) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut fields = line.split_ascii_whitespace();
    let soft = fields.next()?.parse().ok()?;
    Some((soft, fields.next()?.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_by_its_environment() {
        let me = std::process::id();
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        assert!(was_started_with(me, std::slice::from_ref(&path)));
        assert!(!was_started_with(me, &[path, "LONGHAUL_NO_SUCH=1".to_owned()]));
    }
}
