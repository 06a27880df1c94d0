//! Determines which resource limit ended a command that no longer had a shim.

use crate::os::examine::steady_ms;
use crate::os::launch::{FILE_SIZE, PROCESSOR_TIME};
use crate::os::options::OsOptions;
use crate::os::procfs;
use longhaul_shim::{
    EndEvidence, ExceededLimit, Identity, ProcessStat, ProgramEnd, ResourceLimit, has_killed_in_group,
    has_logged_kill,
};
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;

const SIGKILL: i32 = 9;
/// Milliseconds in one tick. `/proc` always uses 100 ticks per second, independent of the kernel's internal tick rate.
const TICK_MS: u64 = 10;

/// The resource limits of a command and how much of them it has used.
#[derive(Clone, Debug)]
pub(super) struct LimitUsage {
    pid: u32,
    start_time: u64,
    started_at: u64,
    cgroup: Option<PathBuf>,
    limits: Vec<ResourceLimit>,
    end: Option<ProcessStat>,
}

impl LimitUsage {
    /// Reads the resource limits. `/proc` shows them only while the command is alive.
    pub(super) fn of(identity: &Identity) -> Self {
        let named = [(PROCESSOR_TIME, "Max cpu time"), (FILE_SIZE, "Max file size")];
        let limit = |(resource, name)| {
            let (soft, hard) = procfs::limit(identity.pid, name)?;
            Some(ResourceLimit { resource, soft, hard })
        };
        Self {
            pid: identity.pid,
            start_time: identity.start_time,
            started_at: identity.started_at,
            cgroup: identity.cgroup.clone(),
            limits: named.into_iter().filter_map(limit).collect(),
            end: None,
        }
    }

    /// Reads the processor time that an ended command used. `/proc` shows it only until the command is reaped.
    pub(super) fn see_end(&mut self) {
        let is_it = |stat: &ProcessStat| stat.start_time == self.start_time && stat.is_dead();
        self.end = ProcessStat::read(self.pid).filter(is_it);
    }

    /// Returns the limit that ended the command, or `None` if this is not certain. `killed` is true if this program
    /// killed the command.
    pub(super) async fn exceeded(
        &self,
        ending: ProgramEnd,
        killed: bool,
        options: &OsOptions,
    ) -> Option<ExceededLimit> {
        let this = self.clone();
        let now = steady_ms(options);
        // The kernel log may be long, so read it in a blocking thread.
        let judged = tokio::task::spawn_blocking(move || this.judge(ending, killed, now));
        judged.await.ok().flatten()
    }

    fn judge(&self, ending: ProgramEnd, killed: bool, now: u64) -> Option<ExceededLimit> {
        let in_group = || self.cgroup.as_deref().is_some_and(has_killed_in_group);
        let (ticks, out_of_memory) = match ending {
            ProgramEnd::Signaled { signal, .. } => {
                let is_kill = signal == SIGKILL && !killed;
                (self.end.map(|end| end.used), is_kill && (in_group() || self.is_logged(now)))
            }
            ProgramEnd::Exited { code } => {
                (self.end.map(|end| end.used.saturating_add(end.waited_for)), code != 0 && in_group())
            }
            ProgramEnd::SpawnFailed { .. } | ProgramEnd::NeverRan => return None,
        };
        let cpu_ms = ticks.map(|ticks| ticks.saturating_mul(TICK_MS));
        EndEvidence { ending, cpu_ms, limits: &self.limits, out_of_memory, killed }.exceeded()
    }

    fn is_logged(&self, now: u64) -> bool {
        let awake = clock_gettime(ClockId::Monotonic).tv_sec;
        let awake_ms = u64::try_from(awake).unwrap_or(0).saturating_mul(1_000);
        // `now` includes the time for which the machine was suspended, but the monotonic clock does not. The result can
        // therefore be too early, but never too late.
        has_logged_kill(self.pid, awake_ms.saturating_sub(now.saturating_sub(self.started_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_shim::Containment;

    const CPU: Option<ExceededLimit> = Some(ExceededLimit::Cpu);

    fn bounds(used: u64) -> LimitUsage {
        let me = ProcessStat::read(std::process::id()).unwrap();
        let identity = Identity {
            process: String::new(),
            attempt: 1,
            boot_id: String::new(),
            shim_pid: 1,
            shim_start: 1,
            pid: me.pid,
            start_time: me.start_time,
            cgroup: None,
            mechanism: Containment::Subreaper,
            started_at: 0,
            wall: 0,
        };
        let limits = vec![ResourceLimit { resource: PROCESSOR_TIME, soft: 1, hard: 6 }];
        let mut end = me;
        end.used = used;
        LimitUsage { limits, end: Some(end), ..LimitUsage::of(&identity) }
    }

    fn by(signal: i32) -> ProgramEnd {
        ProgramEnd::Signaled { signal, core: false }
    }

    #[test]
    fn processor_time_that_was_used_up_is_named() {
        assert_eq!(bounds(100).judge(by(24), false, 0), CPU);
        assert_eq!(bounds(600).judge(by(SIGKILL), false, 0), CPU);
        assert_eq!(bounds(600).judge(by(SIGKILL), true, 0), None);
        assert_eq!(bounds(100).judge(by(SIGKILL), false, 0), None);
    }

    #[test]
    fn kill_in_its_group_for_want_of_memory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = LimitUsage { cgroup: Some(dir.path().to_owned()), ..bounds(1) };
        assert_eq!(bounds.judge(by(SIGKILL), false, 0), None);
        std::fs::write(dir.path().join("memory.events"), "oom 1\noom_kill 1\n").unwrap();
        assert_eq!(bounds.judge(by(SIGKILL), false, 0), Some(ExceededLimit::Memory));
        assert_eq!(bounds.judge(by(15), false, 0), None);
        assert_eq!(bounds.judge(ProgramEnd::Exited { code: 0 }, false, 0), None);
    }
}
