//! Detects which processes the kernel killed because memory was exhausted.

use std::{
    fs,
    io::{ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// File with the memory event counters of a cgroup. Later kernels add lines to the file.
const EVENTS: &str = "memory.events";
const MAX_EVENTS_LEN: u64 = 4 << 10;

const LOG: &str = "/dev/kmsg";
/// Maximum length in bytes of one record of the kernel log.
const MAX_RECORD_LEN: usize = 8 << 10;
/// Maximum number of kernel log records to read. The kernel stores fewer records. The maximum only stops the reader if
/// records arrive faster than it reads them.
const MAX_RECORDS: u32 = 100_000;
/// Maximum difference in milliseconds between the kernel log's clock and the caller's clock.
const SLACK_MS: u64 = 10_000;

/// Returns true if the kernel killed a process of a cgroup because the memory of the cgroup or of the machine was
/// exhausted.
///
/// Returns false if the cgroup has no memory controller.
pub fn has_killed_in_group(cgroup: &Path) -> bool {
    let mut text = String::new();
    let Ok(file) = fs::File::open(cgroup.join(EVENTS)) else {
        return false;
    };
    let read = file.take(MAX_EVENTS_LEN).read_to_string(&mut text);
    let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    read.is_ok() && kills.is_some_and(|count| count != "0")
}

/// Returns true if the kernel log reports that the kernel killed a process, at `since` or later, because memory was
/// exhausted.
///
/// `since` is in milliseconds since boot, without suspended time. Returns false if the caller may not read the kernel
/// log.
pub fn has_logged_kill(pid: u32, since: u64) -> bool {
    let options = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(LOG);
    let Ok(mut log) = options else {
        return false;
    };
    let mut buffer = vec![0; MAX_RECORD_LEN];
    for _ in 0..MAX_RECORDS {
        match log.read(&mut buffer) {
            Ok(got) => {
                if says_killed(buffer.get(..got).unwrap_or(&[]), pid, since) {
                    return true;
                }
            }
            // The kernel has overwritten log records that were not read yet. The next read continues after them.
            Err(error) if error.kind() == ErrorKind::BrokenPipe || error.kind() == ErrorKind::Interrupted => {
            }
            Err(_) => return false,
        }
    }
    false
}

/// Returns true if a kernel log record reports an out-of-memory kill of the process. The form of a record is
/// `level,number,microseconds,flags;text`.
fn says_killed(record: &[u8], pid: u32, since: u64) -> bool {
    let text = String::from_utf8_lossy(record);
    let Some((head, message)) = text.split_once(';') else {
        return false;
    };
    let mut fields = head.split(',');
    // Programs can write to the kernel log too. The facility in a record distinguishes their records from those of the
    // kernel.
    let is_of_kernel =
        fields.next().and_then(|level| level.parse::<u32>().ok()).is_some_and(|level| level < 8);
    let at = fields.nth(1).and_then(|at| at.parse::<u64>().ok()).map(|at| at / 1_000);
    let is_recent = at.is_some_and(|at| at.saturating_add(SLACK_MS) >= since);
    let message = message.lines().next().unwrap_or("");
    is_of_kernel
        && is_recent
        && message.contains("ut of memory")
        && message.contains(&format!(": Killed process {pid} ("))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &[u8] = b"3,339,5140900123,-;Memory cgroup out of memory: Killed process 1234 (python3) total-vm:1kB\n SUBSYSTEM=x\n";

    #[test]
    fn kill_for_want_of_memory_is_recognised() {
        assert!(says_killed(GROUP, 1_234, 5_140_000));
        let machine = b"3,339,5140900123,-;Out of memory: Killed process 1234 (a b) total-vm:1kB";
        assert!(says_killed(machine, 1_234, 5_150_000));
    }

    #[test]
    fn other_text_is_not_accepted_as_a_record() {
        assert!(!says_killed(GROUP, 123, 5_140_000));
        assert!(!says_killed(GROUP, 1_234, 5_151_000), "long before");
        let forged = b"12,339,5140900123,-;Out of memory: Killed process 1234 (x)";
        assert!(!says_killed(forged, 1_234, 0));
        assert!(!says_killed(b"6,1,2,-;hello", 1_234, 0));
        assert!(!says_killed(b"", 1_234, 0));
    }

    #[test]
    fn group_in_which_the_kernel_killed_is_believed() {
        let group = std::env::temp_dir().join(format!("shim-events-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        assert!(!has_killed_in_group(&group));
        for (events, expected) in [
            ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\noom_group_kill 0\n", false),
            ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n", true),
        ] {
            fs::write(group.join(EVENTS), events).unwrap();
            assert_eq!(has_killed_in_group(&group), expected, "{events}");
        }
        fs::remove_dir_all(group).unwrap();
    }
}
