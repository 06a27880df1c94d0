//! What the kernel tells about a process.

use crate::Failure;
use std::fs;

/// Resident memory in MiB.
pub(crate) fn resident(pid: u32) -> Result<f64, Failure> {
    Ok(kilobytes(&format!("/proc/{pid}/status"), "VmRSS:")? / 1024.0)
}

/// Memory in MiB that no other process shares.
pub(crate) fn private(pid: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{pid}/smaps_rollup");
    Ok((kilobytes(&path, "Private_Dirty:")? + kilobytes(&path, "Private_Clean:")?) / 1024.0)
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Result<u32, Failure> {
    Ok(field(&format!("/proc/{pid}/status"), "PPid:")?.parse()?)
}

/// How often the threads of a process went to sleep: each time, something woke them before or will.
pub(crate) fn voluntary_switches(pid: u32) -> Result<u64, Failure> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path().join("status");
        sum += field(&path.to_string_lossy(), "voluntary_ctxt_switches:")?.parse::<u64>()?;
    }
    Ok(sum)
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
        voluntary_switches(me).unwrap();
    }
}
