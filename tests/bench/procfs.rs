//! Reads information about processes from `/proc`.

use crate::Failure;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

/// Returns the resident memory of a process in MiB.
pub(crate) fn resident(pid: u32) -> Result<f64, Failure> {
    Ok(kilobytes(&format!("/proc/{pid}/status"), "VmRSS:")? / 1024.0)
}

/// Returns the memory in MiB that the process does not share with other processes.
pub(crate) fn private(pid: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{pid}/smaps_rollup");
    Ok((kilobytes(&path, "Private_Dirty:")? + kilobytes(&path, "Private_Clean:")?) / 1024.0)
}

/// Returns the pid of the parent of a process.
pub(crate) fn parent(pid: u32) -> Result<u32, Failure> {
    Ok(field(&format!("/proc/{pid}/status"), "PPid:")?.parse()?)
}

/// Number of voluntary context switches of each thread of a process. Each context switch is one wake-up of the thread.
#[derive(Debug)]
pub(crate) struct Naps(BTreeMap<OsString, u64>);

impl Naps {
    pub(crate) fn of(pid: u32) -> Result<Self, Failure> {
        let mut naps = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            let path = thread.path().join("status");
            // Ignore errors, because the thread may have ended since it was listed.
            if let Ok(count) = field(&path.to_string_lossy(), "voluntary_ctxt_switches:") {
                naps.insert(thread.file_name(), count.parse()?);
            }
        }
        Ok(Self(naps))
    }

    /// Returns the number of context switches since an earlier count, for threads that are still alive.
    pub(crate) fn since(&self, before: &Self) -> u64 {
        let fresh = |(thread, count): (&OsString, &u64)| {
            count.saturating_sub(before.0.get(thread).copied().unwrap_or(0))
        };
        self.0.iter().map(fresh).sum()
    }
}

fn kilobytes(path: &str, name: &str) -> Result<f64, Failure> {
    let text = field(path, name)?;
    Ok(text.trim_end_matches("kB").trim().parse()?)
}

fn field(path: &str, name: &str) -> Result<String, Failure> {
    fs::read_to_string(path)?
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(|rest| rest.trim().to_owned())
        .ok_or_else(|| format!("{path} has no {name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        let me = std::process::id();
        assert!(resident(me).unwrap() > 0.5);
        assert!(private(me).unwrap() > 0.1);
        assert_eq!(parent(me).unwrap(), std::os::unix::process::parent_id());
        let before = Naps::of(me).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(Naps::of(me).unwrap().since(&before) >= 1);
    }
}
