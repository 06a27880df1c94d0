//! Counters that are computed from the events of the log.

use crate::metrics::histogram::Histogram;
use longhaul_domain::{Ending, Event, Exit, Fact, LiveStats, ProcessId, Status, Timestamp};
use longhaul_engine::ports::LoggedEvent;
use std::collections::{BTreeMap, HashMap};

/// Maximum number of live processes whose start times are stored. Beyond this number, the durations of processes are
/// not counted.
const MAX_OPEN: usize = 100_000;

/// Counters and histograms that are computed from events.
#[derive(Debug)]
pub(super) struct EventCounters {
    pub(super) launches: u64,
    pub(super) retries: u64,
    /// Number of ended processes for each final status.
    pub(super) endings: BTreeMap<Status, u64>,
    /// Time that processes waited from the moment when they could be claimed until the claim.
    pub(super) queue_wait: Histogram,
    /// Time that processes needed from the claim to the start of the command.
    pub(super) spawn: Histogram,
    /// Durations of attempts.
    pub(super) duration: Histogram,
    /// Time from the exit of a command until the exit was recorded in the store.
    pub(super) detection: Histogram,
    pub(super) output_bytes: u64,
    /// Number of times that events were missed.
    pub(super) gaps: u64,
    open: HashMap<ProcessId, OpenProcess>,
}

/// Last known step of a process that has not ended, with the time of this step.
#[derive(Clone, Copy, Debug)]
enum OpenProcess {
    /// The process has been waiting for a claim since this time.
    Waiting(Timestamp),
    /// The process was claimed at this time.
    Claimed(Timestamp),
    /// The command has been running since this time.
    Running(Timestamp),
}

impl Default for EventCounters {
    fn default() -> Self {
        let ends = Status::ALL.into_iter().filter(|status| status.is_ended());
        Self {
            launches: 0,
            retries: 0,
            endings: ends.map(|status| (status, 0)).collect(),
            queue_wait: Histogram::of_waiting(),
            spawn: Histogram::of_latency(),
            duration: Histogram::of_work(),
            detection: Histogram::of_latency(),
            output_bytes: 0,
            gaps: 0,
            open: HashMap::new(),
        }
    }
}

impl EventCounters {
    /// Updates the counters for an event of the log.
    pub(super) fn take(&mut self, logged: &LoggedEvent) {
        let LoggedEvent { id, event: Event { at, fact }, .. } = logged;
        let (id, at) = (*id, *at);
        match fact {
            Fact::Submitted => {
                self.launches += 1;
                self.know(id, OpenProcess::Waiting(at));
            }
            Fact::BecameDue | Fact::NeverRan => {
                self.know(id, OpenProcess::Waiting(at));
            }
            Fact::Claimed { .. } => {
                if let Some(OpenProcess::Waiting(since)) = self.know(id, OpenProcess::Claimed(at)) {
                    self.queue_wait.take(at.since(since));
                }
            }
            Fact::Spawned { .. } => {
                if let Some(OpenProcess::Claimed(since)) = self.know(id, OpenProcess::Running(at)) {
                    self.spawn.take(at.since(since));
                }
            }
            Fact::RetryScheduled { after, .. } => {
                self.retries += 1;
                self.attempt_ended(id, at, after);
                self.output_bytes += after.exit().map_or(0, |exit| exit.output_bytes);
            }
            Fact::AwaitingChildren { ending, live_stats } => {
                self.output_bytes += written(ending.exit(), live_stats);
                self.attempt_ended(id, at, ending);
            }
            Fact::Ended { ending, live_stats } => {
                *self.endings.entry(ending.status()).or_default() += 1;
                // If the process waited for its children, it was already counted when its own work ended. In this case
                // `open` does not contain the process.
                if self.open.contains_key(&id) {
                    self.output_bytes += written(ending.exit(), live_stats);
                }
                self.attempt_ended(id, at, ending);
            }
            Fact::StageChanged { .. }
            | Fact::OutcomeReported(_)
            | Fact::TestsReported(_)
            | Fact::TestsDoubted(_)
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::StopRequested { .. }
            | Fact::KillStarted { .. }
            | Fact::BecameStuck
            | Fact::CascadeStarted { .. }
            | Fact::CascadeEnded
            | Fact::Prioritized { .. }
            | Fact::SessionEnded { .. }
            | Fact::SessionKept
            | Fact::ConditionStarted { .. }
            | Fact::ConditionEnded { .. }
            | Fact::OutputMatched { .. }
            | Fact::NodeLost { .. }
            | Fact::SignalSent { .. }
            | Fact::OrphanStopRequested { .. }
            | Fact::Restored { .. }
            | Fact::LateExit { .. } => {}
        }
    }

    /// Handles missed events. Removes all live processes from the counters' memory, because they may have ended.
    pub(super) fn missed(&mut self) {
        self.gaps += 1;
        self.open.clear();
    }

    fn know(&mut self, id: ProcessId, open: OpenProcess) -> Option<OpenProcess> {
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&id) {
            return None;
        }
        self.open.insert(id, open)
    }

    fn attempt_ended(&mut self, id: ProcessId, at: Timestamp, ending: &Ending) {
        let since = match (self.open.remove(&id), ending) {
            (Some(OpenProcess::Running(since) | OpenProcess::Claimed(since)), _) => since,
            // Reported work starts when it is submitted, so it has no claim event.
            (Some(OpenProcess::Waiting(since)), Ending::Completed { .. } | Ending::Failed { .. }) => since,
            (Some(OpenProcess::Waiting(_)) | None, _) => return,
        };
        self.duration.take(at.since(since));
    }
}

fn written(exit: Option<&Exit>, live_stats: &LiveStats) -> u64 {
    exit.map_or(live_stats.output_bytes, |exit| exit.output_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AttemptNo, NodeId, Revision, StopCause};
    use longhaul_engine::ports::EventCursor;

    #[test]
    fn life_of_a_process_is_counted_by_its_spans() {
        let mut tally = EventCounters::default();
        count_event(&mut tally, 1, 1_000, Fact::Submitted);
        count_event(&mut tally, 1, 1_400, claimed());
        count_event(&mut tally, 1, 1_410, spawned());
        count_event(&mut tally, 1, 3_410, completed());
        assert_eq!(
            (tally.launches, tally.endings[&Status::Completed], tally.endings[&Status::Failed]),
            (1, 1, 0)
        );
        for (histogram, seconds) in [(&tally.queue_wait, 0.4), (&tally.spawn, 0.01), (&tally.duration, 2.0)] {
            assert_eq!(histogram.count(), 1);
            assert!((histogram.sum() - seconds).abs() < 1e-9, "{histogram:?}");
        }
        assert!(tally.open.is_empty());
    }

    #[test]
    fn wait_for_a_start_time_is_not_a_wait_for_a_slot() {
        let mut tally = EventCounters::default();
        count_event(&mut tally, 1, 0, Fact::Submitted);
        count_event(&mut tally, 1, 60_000, Fact::BecameDue);
        count_event(&mut tally, 1, 60_100, claimed());
        assert!((tally.queue_wait.sum() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn cancelled_waiter_has_no_duration_and_reported_work_has() {
        let mut tally = EventCounters::default();
        count_event(&mut tally, 1, 0, Fact::Submitted);
        let ending = Ending::Cancelled { by: StopCause::User, exit: None };
        count_event(&mut tally, 1, 500, Fact::Ended { ending, live_stats: LiveStats::default() });
        assert_eq!((tally.duration.count(), tally.endings[&Status::Cancelled]), (0, 1));
        count_event(&mut tally, 2, 0, Fact::Submitted);
        count_event(&mut tally, 2, 500, completed());
        assert_eq!(tally.duration.count(), 1);
    }

    #[test]
    fn process_that_waits_for_its_children_is_counted_once() {
        let mut tally = EventCounters::default();
        count_event(&mut tally, 1, 0, Fact::Submitted);
        count_event(&mut tally, 1, 10, claimed());
        count_event(&mut tally, 1, 20, spawned());
        let live_stats = LiveStats { output_bytes: 7, ..LiveStats::default() };
        let ending = Ending::Completed { exit: None, result: None };
        count_event(
            &mut tally,
            1,
            1_020,
            Fact::AwaitingChildren { ending: ending.clone(), live_stats: live_stats.clone() },
        );
        count_event(&mut tally, 1, 9_000, Fact::Ended { ending, live_stats });
        assert_eq!((tally.duration.count(), tally.output_bytes), (1, 7));
        assert_eq!(tally.endings[&Status::Completed], 1);
    }

    #[test]
    fn end_without_its_begin_is_an_end_and_no_span() {
        let mut tally = EventCounters::default();
        count_event(&mut tally, 1, 500, completed());
        tally.missed();
        assert_eq!((tally.endings[&Status::Completed], tally.duration.count(), tally.gaps), (1, 0, 1));
    }

    #[test]
    fn memory_of_an_open_batch_is_limited() {
        let mut tally = EventCounters::default();
        for number in 0..=MAX_OPEN as u128 {
            count_event(&mut tally, number, 0, Fact::Submitted);
        }
        assert_eq!((tally.open.len(), tally.launches), (MAX_OPEN, MAX_OPEN as u64 + 1));
    }

    fn count_event(tally: &mut EventCounters, number: u128, at: i64, fact: Fact) {
        let at = Timestamp(at);
        let logged = LoggedEvent {
            cursor: EventCursor(1),
            id: format!("{number:032x}").parse().unwrap(),
            revision: Revision(1),
            index: 0,
            event: Event { at, fact },
        };
        tally.take(&logged);
    }

    fn claimed() -> Fact {
        Fact::Claimed { attempt: AttemptNo(1), node: NodeId::new("here").unwrap() }
    }

    fn spawned() -> Fact {
        Fact::Spawned { pid: None, containment: None, timeout_at: None }
    }

    fn completed() -> Fact {
        let ending = Ending::Completed { exit: None, result: None };
        Fact::Ended { ending, live_stats: LiveStats::default() }
    }
}
