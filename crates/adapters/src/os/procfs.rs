//! What the kernel tells in `/proc` of processes and those around them.

use longhaul_shim::ProcessStat;
use std::fs::{self, File};
use std::io::Read as _;

const LARGEST_ENVIRONMENT: u64 = 512 << 10;

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
                let all = ProcessStat::everyone().into_iter().filter(|each| each.parent == pid);
                return all.map(|each| each.pid).collect();
            }
        }
    }
    children
}

/// The limits of a live process by their names in `/proc`, each with its soft and its hard value; none is unlimited.
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
