//! The state of the leader, which is the process that runs the launched program.

use std::os::fd::OwnedFd;

use super::{child::REPORT, sys::ReapedChild};
use crate::{
    clock,
    exit::{ProgramEnd, SpawnStage},
    limit::ExceededLimit,
};

/// State of the leader process.
pub(super) enum Leader {
    /// The leader is waiting at the gate.
    Gated { gate: OwnedFd, report: OwnedFd },
    /// The gate is open, but it is not known yet whether the program could be executed.
    Starting { report: OwnedFd },
    /// The program runs. `since` is the time of its start in milliseconds of awake time.
    Running { since: u64 },
    /// The ending of the leader is already decided, but the leader process was not reaped yet.
    Doomed { ending: ProgramEnd },
    /// The leader has ended and was reaped.
    Ended(LeaderExit),
}

/// Facts about the end of the leader, which are known when the leader process was reaped.
#[derive(Debug, Clone)]
pub(super) struct LeaderExit {
    pub(super) ending: ProgramEnd,
    pub(super) ended_boot_ms: u64,
    /// True if the shim was stopped by a signal when the leader ended, so that the exact time of the end is unknown.
    pub(super) undated: bool,
    pub(super) wall: i64,
    pub(super) run_ms: u64,
    pub(super) user_ms: u64,
    pub(super) system_ms: u64,
    pub(super) max_rss_kb: u64,
    pub(super) limit: Option<ExceededLimit>,
    pub(super) paused: bool,
}

/// Report from the child on whether it executed the program.
pub(super) enum ExecReport {
    /// The child has not reported yet.
    Nothing,
    /// The pipe closed without a report: the program was executed, or the child was killed before it could report.
    Silence,
    /// A step before the execution of the program failed.
    Failure { stage: SpawnStage, errno: i32 },
}

impl Leader {
    /// Returns the pipe that the child reports through, while its report is expected.
    pub(super) fn report(&self) -> Option<&OwnedFd> {
        match self {
            Self::Starting { report } => Some(report),
            Self::Gated { .. } | Self::Running { .. } | Self::Doomed { .. } | Self::Ended(_) => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Ended(_) => true,
            Self::Gated { .. } | Self::Starting { .. } | Self::Running { .. } | Self::Doomed { .. } => false,
        }
    }

    pub(super) fn since(&self) -> Option<u64> {
        match self {
            Self::Running { since } => Some(*since),
            Self::Gated { .. } | Self::Starting { .. } | Self::Doomed { .. } | Self::Ended(_) => None,
        }
    }
}

impl LeaderExit {
    pub(super) fn new(reaped: &ReapedChild, decided: Option<ProgramEnd>, run_ms: u64, paused: bool) -> Self {
        Self {
            ending: decided.unwrap_or_else(|| ending_of(reaped.status)),
            ended_boot_ms: clock::boot_ms(),
            undated: false,
            wall: clock::wall_ms(),
            run_ms,
            user_ms: reaped.user_ms,
            system_ms: reaped.system_ms,
            max_rss_kb: reaped.max_rss_kb,
            limit: None,
            paused,
        }
    }
}

/// Reads the report of the child from the pipe.
pub(super) fn read_report(pipe: &OwnedFd) -> ExecReport {
    let mut bytes = [0; REPORT];
    match rustix::io::read(pipe, &mut bytes) {
        Ok(REPORT) => {
            let [stage, .., a, b, c, d] = bytes;
            let errno = i32::from_le_bytes([a, b, c, d]);
            ExecReport::Failure { stage: SpawnStage::from_code(stage), errno }
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => ExecReport::Nothing,
        Ok(_) | Err(_) => ExecReport::Silence,
    }
}

fn ending_of(status: i32) -> ProgramEnd {
    if libc::WIFSIGNALED(status) {
        ProgramEnd::Signaled { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        ProgramEnd::Exited { code: libc::WEXITSTATUS(status) }
    }
}
