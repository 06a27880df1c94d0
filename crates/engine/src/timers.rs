//! Deadlines of processes, and the task that waits for them.

use crate::claim_loop;
use crate::engine::EngineShared;
use crate::error::EngineError;
use longhaul_domain::{AwakeTime, Deadline, Input, Observation, ProcessId, Revision, Timestamp};
use longhaul_ports::StoredProcess;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Minimum time between two requests for due records.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// The schedule of timer jobs.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: Mutex<DueTimer>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct DueTimer {
    steady: BTreeSet<(Timestamp, TimerJob)>,
    awake: BTreeSet<(AwakeTime, TimerJob)>,
    of: HashMap<TimerJob, TimerEntry>,
}

/// A deadline, and the revision of the record from which it was derived; `None` if it was not derived from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimerEntry {
    deadline: Deadline,
    as_of: Option<Revision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum TimerJob {
    /// A deadline of a process that this node owns.
    Tick(ProcessId),
    /// The end of the grace period of a process whose session has ended.
    Leave(ProcessId),
    /// The time by which the next heartbeat of reported work must arrive.
    Heartbeat(ProcessId),
    /// The delayed write of the live stats of a process.
    Vitals(ProcessId),
    /// The check for due records without an owner.
    Attend,
}

impl Timers {
    /// Schedules the check for due records without an owner.
    pub(crate) fn schedule_due_check(&self, due: Option<Timestamp>) {
        self.set(TimerJob::Attend, due.map(Deadline::At));
    }

    /// Schedules the write of the live stats of a process.
    pub(crate) fn write_vitals_at(&self, id: ProcessId, at: Timestamp) {
        self.set(TimerJob::Vitals(id), Some(Deadline::At(at)));
    }

    fn set(&self, job: TimerJob, deadline: Option<Deadline>) {
        self.set_as_of(None, job, deadline);
    }

    /// Sets or clears a deadline. A deadline that was derived from an older revision is ignored, because answers to
    /// writes may arrive late.
    fn set_as_of(&self, as_of: Option<Revision>, job: TimerJob, deadline: Option<Deadline>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let known = due.of.get(&job).copied();
        if let (Some(as_of), Some(known)) = (as_of, known.and_then(|known| known.as_of))
            && as_of < known
        {
            return;
        }
        due.clear(job);
        let Some(deadline) = deadline else { return };
        match deadline {
            Deadline::At(at) => due.steady.insert((at, job)),
            Deadline::Awake(at) => due.awake.insert((at, job)),
        };
        due.of.insert(job, TimerEntry { deadline, as_of });
        drop(due);
        if known.map(|known| known.deadline) != Some(deadline) {
            self.changed.notify_one();
        }
    }

    fn first(&self) -> (Option<Timestamp>, Option<AwakeTime>) {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        (due.steady.first().map(|(at, _)| *at), due.awake.first().map(|(at, _)| *at))
    }

    /// Removes and returns the due jobs. Each job has the revision from which its deadline was derived.
    fn take_due(&self, now: Timestamp, awake: AwakeTime) -> Vec<(TimerJob, Option<Revision>)> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let steady = due.steady.iter().take_while(|(at, _)| *at <= now).map(|(_, job)| *job);
        let jobs: Vec<TimerJob> =
            steady.chain(due.awake.iter().take_while(|(at, _)| *at <= awake).map(|(_, job)| *job)).collect();
        let mut taken = Vec::new();
        for job in jobs {
            taken.push((job, due.of.get(&job).and_then(|set| set.as_of)));
            due.clear(job);
        }
        taken
    }
}

impl DueTimer {
    fn clear(&mut self, job: TimerJob) {
        match self.of.remove(&job).map(|set| set.deadline) {
            Some(Deadline::At(at)) => {
                self.steady.remove(&(at, job));
            }
            Some(Deadline::Awake(at)) => {
                self.awake.remove(&(at, job));
            }
            None => {}
        }
    }
}

impl EngineShared {
    /// Sets the deadlines of a record. For a record without an owner, the store monitors the deadlines in steady time.
    pub(crate) fn arm(&self, stored: &StoredProcess) {
        let id = stored.process.id;
        let deadline = match stored.process.next_deadline() {
            Some(deadline @ Deadline::Awake(_)) => Some(deadline),
            Some(Deadline::At(_)) | None => None,
        };
        let as_of = Some(stored.revision);
        self.timers.set_as_of(as_of, TimerJob::Tick(id), deadline);
        let leave = stored.process.session_deadline().filter(|_| stored.owner.is_some());
        self.timers.set_as_of(as_of, TimerJob::Leave(id), leave.map(Deadline::At));
        let heartbeat = stored.process.heartbeat_due(self.last_heartbeat(stored));
        self.timers.set_as_of(as_of, TimerJob::Heartbeat(id), heartbeat.map(Deadline::At));
    }

    /// Returns the time from which the heartbeat timeout is counted. The time in which this engine was unreachable does
    /// not count.
    fn last_heartbeat(&self, stored: &StoredProcess) -> Option<Timestamp> {
        stored.live_stats.last_heartbeat.max(self.live_stats.away_until())
    }
}

/// Runs timer jobs when their deadlines pass.
pub(crate) async fn run_timers(core: Arc<EngineShared>) {
    loop {
        let clock = &core.parts.clock;
        for (job, as_of) in core.timers.take_due(clock.now(), clock.awake()) {
            run(&core, job, as_of).await;
        }
        let (steady, awake) = core.timers.first();
        tokio::select! {
            // With `biased`, the branches are polled in a fixed order, so that a simulation can be replayed.
            biased;
            () = core.timers.changed.notified() => {}
            () = until(&core, steady.map(Deadline::At)), if steady.is_some() => {}
            () = until(&core, awake.map(Deadline::Awake)), if awake.is_some() => {}
        }
    }
}

async fn until(core: &EngineShared, deadline: Option<Deadline>) {
    if let Some(deadline) = deadline {
        core.parts.clock.sleep_until(deadline).await;
    }
}

async fn run(core: &Arc<EngineShared>, job: TimerJob, as_of: Option<Revision>) {
    match job {
        TimerJob::Tick(id) | TimerJob::Leave(id) => core.lanes.tick(id),
        TimerJob::Heartbeat(id) => check_heartbeat(core, id, as_of).await,
        TimerJob::Vitals(id) => core.write_vitals(id).await,
        TimerJob::Attend => attend(core).await,
    }
}

/// Handles due records without an owner and schedules the next check. A record remains due until its decision is
/// committed, so the next check is delayed by at least [`MIN_INTERVAL`].
async fn attend(core: &Arc<EngineShared>) {
    let due = match claim_loop::attend(core).await {
        Ok(due) => due,
        Err(error) => {
            core.log_retry(None, &error, "could not load the due processes; retrying");
            Some(core.parts.clock.now())
        }
    };
    let soonest = core.parts.clock.now().plus(MIN_INTERVAL);
    core.timers.schedule_due_check(due.map(|due| due.max(soonest)));
}

/// Checks the last heartbeat when a heartbeat deadline is due, and reports a missed heartbeat.
async fn check_heartbeat(core: &Arc<EngineShared>, id: ProcessId, as_of: Option<Revision>) {
    let stored = match core.load(id).await {
        Ok(stored) => stored,
        Err(EngineError::NotFound { .. }) => return,
        Err(error) => {
            core.log_retry(Some(id), &error, "could not check a heartbeat; retrying");
            let again = core.parts.clock.now().plus(MIN_INTERVAL);
            return core.timers.set_as_of(as_of, TimerJob::Heartbeat(id), Some(Deadline::At(again)));
        }
    };
    let last = core.last_heartbeat(&stored);
    match stored.process.heartbeat_due(last) {
        Some(due) if due <= core.parts.clock.now() => {
            // The event contains the time of the last real heartbeat. The time in which the engine was unreachable is
            // not added.
            let signs = stored.live_stats.last_heartbeat.max(stored.process.started_at);
            let last = signs.unwrap_or(stored.process.queued_at);
            let input = Input::Observation(Observation::HeartbeatMissed { last });
            crate::inbox::commit_with_retry(core, id, input).await;
        }
        Some(_) => core.arm(&stored),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};

    fn id() -> ProcessId {
        waiting(1, command()).process.id
    }

    #[test]
    fn deadlines_of_both_clocks_are_due_when_their_time_has_come() {
        let timers = Timers::default();
        timers.set(TimerJob::Vitals(id()), Some(Deadline::At(Timestamp(10))));
        timers.set(TimerJob::Tick(id()), Some(Deadline::Awake(AwakeTime(5))));
        assert_eq!(timers.first(), (Some(Timestamp(10)), Some(AwakeTime(5))));
        assert_eq!(timers.take_due(Timestamp(9), AwakeTime(4)), []);
        assert_eq!(timers.take_due(Timestamp(10), AwakeTime(4)), [(TimerJob::Vitals(id()), None)]);
        assert_eq!(timers.take_due(Timestamp(9), AwakeTime(5)), [(TimerJob::Tick(id()), None)]);
        assert_eq!(timers.first(), (None, None));
    }

    #[test]
    fn deadline_is_replaced_by_a_newer_record_and_not_by_an_older_one() {
        let timers = Timers::default();
        let job = TimerJob::Heartbeat(id());
        let set = |revision, at| {
            timers.set_as_of(Some(Revision(revision)), job, Some(Deadline::At(Timestamp(at))));
        };
        set(2, 20);
        set(1, 10);
        assert_eq!(timers.first().0, Some(Timestamp(20)));
        set(2, 25);
        assert_eq!(timers.first().0, Some(Timestamp(25)));
        set(3, 30);
        assert_eq!(timers.take_due(Timestamp(30), AwakeTime(0)), [(job, Some(Revision(3)))]);
    }

    #[test]
    fn only_a_changed_deadline_wakes_the_task() {
        let timers = Timers::default();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut woken = || std::pin::pin!(timers.changed.notified()).poll(&mut context).is_ready();
        timers.schedule_due_check(Some(Timestamp(10)));
        assert!(woken());
        timers.schedule_due_check(Some(Timestamp(10)));
        assert!(!woken());
        timers.schedule_due_check(Some(Timestamp(11)));
        assert!(woken());
    }
}
