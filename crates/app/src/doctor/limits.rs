//! Check of the system limits for open files, processes and process ids.

use super::check::DoctorCheck;
use rustix::process::{Resource, getrlimit};

/// Limit on open files below which the check warns. A manager needs several files for each running process.
const LOW_OPEN_FILES: u64 = 1_024;
/// Limit on operating system processes below which the check warns.
const LOW_PROCESSES: u64 = 256;
/// The check warns if the highest possible process id is below this value, because process ids are then soon reused.
const LOW_PIDS: u64 = 4_096;

/// Checks this user's limits on open files and processes, and the highest possible process id.
pub(super) fn limits() -> DoctorCheck {
    let pids = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let pids = pids.and_then(|text| text.trim().parse().ok());
    let processes = if rustix::process::geteuid().is_root() {
        // The kernel does not apply the limit on processes to root.
        None
    } else {
        getrlimit(Resource::Nproc).current
    };
    of(getrlimit(Resource::Nofile).maximum, processes, pids)
}

fn of(files: Option<u64>, processes: Option<u64>, pids: Option<u64>) -> DoctorCheck {
    const NAME: &str = "limits";
    let reported = format!(
        "{} open files, {} processes, process ids up to {}",
        shown(files),
        shown(processes),
        pids.map_or_else(|| "?".to_owned(), |pids| pids.to_string())
    );
    let below = |limit: Option<u64>, min: u64| limit.is_some_and(|limit| limit < min);
    let check = if below(files, LOW_OPEN_FILES) {
        DoctorCheck::warning(NAME, reported)
            .because("a manager needs several open files for each running process")
            .so("raise the limit: ulimit -Hn 65536, LimitNOFILE=65536 in a systemd unit, or nofile in \
                 /etc/security/limits.conf")
    } else if below(processes, LOW_PROCESSES) {
        DoctorCheck::warning(NAME, reported)
            .because("each command has a shim, and both count as processes")
            .so("raise the limit: ulimit -u 4096, LimitNPROC=4096 in a systemd unit, or nproc in \
                 /etc/security/limits.conf")
    } else if below(pids, LOW_PIDS) {
        DoctorCheck::warning(NAME, reported)
            .because(
                "only a few processes can run at the same time; reused process ids are detected and never \
                      signalled by mistake",
            )
            .so("raise the limit: sysctl kernel.pid_max=32768")
    } else {
        DoctorCheck::ok(NAME, reported)
    };
    let figures = [("open_files", files), ("processes", processes), ("pid_max", pids)];
    figures.into_iter().fold(check, |check, (name, figure)| check.with(name, figure))
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{CheckResult, DoctorReport};

    #[test]
    fn low_limits_are_reported_with_advice() {
        let reported = |files, processes, pids| {
            let report = DoctorReport::of(vec![of(files, processes, pids)]);
            (report.health(), report.text())
        };
        assert_eq!(reported(Some(4_096), None, Some(32_768)).0, CheckResult::Ok);
        assert_eq!(reported(None, None, None).0, CheckResult::Ok);
        for (short, help) in [
            (reported(Some(256), None, Some(32_768)), "nofile"),
            (reported(Some(4_096), Some(64), Some(32_768)), "nproc"),
            (reported(Some(4_096), None, Some(301)), "pid_max"),
        ] {
            assert_eq!(short.0, CheckResult::Warning);
            assert!(short.1.contains(help), "{}", short.1);
        }
    }
}
