//! What the kernel tells in `/proc` of processes and those around them.

use longhaul_shim::ProcessStat;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

const MAX_ENVIRONMENT_BYTES: u64 = 512 << 10;
const BLOCK: usize = 1 << 10;

/// Tells whether the environment that a process was started with holds all these entries.
pub(super) fn was_started_with(pid: u32, entries: &[String]) -> bool {
    let bytes = environment(pid);
    let has = |entry: &String| bytes.split(|byte| *byte == 0).any(|each| each == entry.as_bytes());
    entries.iter().all(has)
}

/// Tells whether the environment that a process was started with holds an entry of a kind.
pub(super) fn was_started_with_any(pid: u32, is_of_kind: impl Fn(&[u8]) -> bool) -> bool {
    environment(pid).split(|byte| *byte == 0).any(is_of_kind)
}

/// The entries of these variables in the environment that a process was started with; none unless it has them all.
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

/// The environment that a process was started with; empty if nobody may know.
fn environment(pid: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/environ"))
        && file.take(MAX_ENVIRONMENT_BYTES).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    bytes
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
pub(super) fn children(of: &ProcessStat) -> Vec<u32> {
    let pid = of.pid;
    let mut children = Vec::new();
    for thread in threads(of) {
        match read(&format!("/proc/{pid}/task/{thread}/children")) {
            Ok(listed) => {
                let listed = String::from_utf8_lossy(&listed);
                children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            // A thread that ended meanwhile has left its children to another one.
            Err(_) if !Path::new(&format!("/proc/{pid}/task/{thread}")).exists() => {}
            Err(_) => {
                let all = ProcessStat::everyone().into_iter().filter(|each| each.parent == pid);
                return all.map(|each| each.pid).collect();
            }
        }
    }
    children
}

/// The threads of a process; the kernel is asked for them only if there are several.
pub(super) fn threads(of: &ProcessStat) -> Vec<u32> {
    if of.threads <= 1 {
        return vec![of.pid];
    }
    let entries = fs::read_dir(format!("/proc/{}/task", of.pid)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Reads a small file of the kernel, of which there are thousands to read, without asking for its length before.
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

/// Whether SIGKILL was sent to a process that has not acted on it yet.
pub(super) fn was_killed(pid: u32) -> bool {
    const KILL_BIT: u64 = 1 << 8;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = |line: &str| {
        let mask = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    status.lines().filter_map(pending).any(|mask| mask & KILL_BIT != 0)
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
