//! Finds the children of a process in `/proc`.

use std::fs;

use crate::process_stat::ProcessStat;

/// Source from which the children of a process are determined.
pub(super) enum ProcfsSource {
    /// The lists of children that the kernel provides.
    Kernel,
    /// A snapshot of all processes, if the kernel provides no lists of children.
    Everyone(Vec<ProcessStat>),
}

impl ProcfsSource {
    /// Returns the kernel's lists of children if they exist. If they do not exist, reads the state of all processes
    /// now.
    pub(super) fn now(kernel_lists: bool) -> Self {
        if kernel_lists { Self::Kernel } else { Self::Everyone(ProcessStat::everyone()) }
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
    fn both_ways_find_the_same_children() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let me = std::process::id();
        for family in [ProcfsSource::now(ProcfsSource::kernel_has_lists()), ProcfsSource::now(false)] {
            assert!(family.children(me).contains(&child.id()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
