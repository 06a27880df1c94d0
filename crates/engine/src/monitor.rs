//! The monitor: detects conditions of live work, such as silence, readiness, waiting for input and matching output.
//!
//! One task inspects the live work of this node, but only work that is silent. The task sleeps until the next useful
//! inspection time; times that are close together are merged. Work that has been silent for a while is rarely
//! inspected. Instead, the monitor waits for new output of that work, because a command usually prints a prompt before
//! it waits for input.

use crate::engine::EngineShared;
use crate::failure_analysis::is_failure;
use longhaul_domain::{AttemptNo, AwakeTime, Deadline, Observation, ProcessId, Progress, Revision, Spec};
use longhaul_ports::{AttemptKey, OutputError, OutputSize, SpawnError, StoredProcess, TreeSnapshot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;

mod agent_consumer;
mod consumer_set;
mod earlier_runs;
mod follower;
mod lines;
mod monitored;
mod output_consumer;
mod output_reading;
mod pattern;
mod pattern_search;
mod progress_file;
mod progress_search;
mod ready;
mod silence;
mod test_consumer;
mod usual_duration;

use earlier_runs::EarlierRuns;
use follower::{FollowerTask, WatchStart};
pub(crate) use monitored::reports_input;
use monitored::{MonitorPhase, MonitoredWork};
pub(crate) use pattern::check;
pub use pattern::{check_progress, check_watch};
use silence::ConditionChange;

/// Maximum number of concurrent inspections. Inspections run concurrently so that they share the wake-ups of the
/// threads that do the work.
const MAX_CONCURRENT: usize = 4;
/// Time limit of one inspection.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay of the inspection after input was written.
const AFTER_INPUT: Duration = Duration::from_millis(250);
/// Maximum number of finished attempts to remember, so that an outdated record does not make the monitor inspect a
/// finished attempt again.
const MAX_FINISHED_ATTEMPTS: usize = 256;

/// All live work of this node that is monitored.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    subjects: Mutex<MonitoredSet>,
    changed: Notify,
    earlier_runs: EarlierRuns,
}

#[derive(Debug, Default)]
struct MonitoredSet {
    due: BTreeSet<(AwakeTime, ProcessId)>,
    of: BTreeMap<ProcessId, MonitoredWork>,
    gone: VecDeque<(ProcessId, Revision)>,
    /// True as soon as the monitor has ended.
    is_over: bool,
}

impl Monitor {
    /// Ends the monitor: drops all monitored work and accepts no new work.
    pub(crate) fn end(&self) {
        let over = MonitoredSet { is_over: true, ..MonitoredSet::default() };
        let before = std::mem::replace(&mut *self.lock_set(), over);
        drop(before);
    }

    /// Schedules an inspection of an attempt at the given time. An inspection that is already scheduled for an earlier
    /// time keeps its time.
    fn schedule_inspection(&self, key: AttemptKey, at: AwakeTime) {
        let mut subjects = self.lock_set();
        if let Some(monitored) = subjects.present(key) {
            monitored.stop_listening();
            monitored.due = Some(monitored.due.map_or(at, |due| due.min(at)));
        }
        self.rearm(subjects, key.id);
    }

    /// Updates the position of a process in the schedule, and wakes the task if the process is now first in the
    /// schedule.
    fn rearm(&self, mut subjects: MutexGuard<'_, MonitoredSet>, id: ProcessId) {
        let first = subjects.due.first().map(|(at, _)| *at);
        let Some(due) = subjects.put(id) else { return };
        drop(subjects);
        if first.is_none_or(|first| due < first) {
            self.changed.notify_one();
        }
    }

    fn first(&self) -> Option<AwakeTime> {
        self.lock_set().due.first().map(|(at, _)| *at)
    }

    fn take_due(&self, awake: AwakeTime) -> Vec<AttemptKey> {
        let mut subjects = self.lock_set();
        let due: Vec<ProcessId> =
            subjects.due.iter().take_while(|(at, _)| *at <= awake).map(|(_, id)| *id).collect();
        let mut keys = Vec::with_capacity(due.len());
        for id in due {
            if let Some(monitored) = subjects.of.get_mut(&id) {
                monitored.due = None;
                keys.push(monitored.key);
            }
            subjects.put(id);
        }
        keys
    }

    /// Calls `change` with the monitored work of an attempt, if the attempt is still the current attempt of its
    /// process.
    fn with<T>(&self, key: AttemptKey, change: impl FnOnce(&mut MonitoredWork) -> T) -> Option<T> {
        self.lock_set().present(key).map(change)
    }

    /// Returns the spec of an attempt whose artifacts may be copied.
    pub(crate) fn spec_with_artifacts(&self, key: AttemptKey) -> Option<Arc<Spec>> {
        self.with(key, |monitored| monitored.spec_with_artifacts()).flatten()
    }

    fn forget(&self, key: AttemptKey) {
        let mut subjects = self.lock_set();
        let gone = subjects.present(key).is_some().then(|| subjects.take(key.id));
        drop(subjects);
        drop(gone);
    }

    fn lock_set(&self) -> MutexGuard<'_, MonitoredSet> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MonitoredSet {
    fn present(&mut self, key: AttemptKey) -> Option<&mut MonitoredWork> {
        self.of.get_mut(&key.id).filter(|monitored| monitored.key == key)
    }

    /// Updates the position of a process in the schedule, and returns its next inspection time.
    fn put(&mut self, id: ProcessId) -> Option<AwakeTime> {
        let monitored = self.of.get_mut(&id)?;
        if let Some(before) = std::mem::replace(&mut monitored.armed, monitored.due) {
            self.due.remove(&(before, id));
        }
        let due = monitored.due?;
        self.due.insert((due, id));
        Some(due)
    }

    fn take(&mut self, id: ProcessId) -> Option<MonitoredWork> {
        let gone = self.of.remove(&id)?;
        if let Some(armed) = gone.armed {
            self.due.remove(&(armed, id));
        }
        Some(gone)
    }

    fn knows_newer(&self, stored: &StoredProcess) -> bool {
        let id = stored.process.id;
        let gone = || self.gone.iter().rev().find(|(gone, _)| *gone == id).map(|(_, as_of)| *as_of);
        let newest = self.of.get(&id).map(|monitored| monitored.as_of).or_else(gone);
        newest.is_some_and(|newest| stored.revision < newest)
    }

    fn remove(&mut self, stored: &StoredProcess) -> Option<MonitoredWork> {
        let id = stored.process.id;
        let gone = self.take(id)?;
        self.gone.push_back((id, stored.revision));
        if self.gone.len() > MAX_FINISHED_ATTEMPTS {
            self.gone.pop_front();
        }
        Some(gone)
    }
}

impl EngineShared {
    /// Updates the monitor from a record that this engine committed or claimed.
    pub(crate) fn update_from(self: &Arc<Self>, stored: &StoredProcess) {
        self.attend(stored, WatchStart::Here);
    }

    /// Updates the monitor from a record of an earlier run of this manager.
    pub(crate) fn resume_from(self: &Arc<Self>, stored: &StoredProcess) {
        self.attend(stored, WatchStart::Before);
    }

    fn attend(self: &Arc<Self>, stored: &StoredProcess, begin: WatchStart) {
        let id = stored.process.id;
        let mut subjects = self.attention.lock_set();
        if subjects.is_over || subjects.knows_newer(stored) {
            return;
        }
        self.follow_tests(stored);
        let phase = MonitorPhase::of(self, stored);
        let is_other = subjects.of.get(&id).is_some_and(|known| known.key.attempt != stored.process.attempt);
        let before = if is_other || phase.is_none() { subjects.remove(stored) } else { None };
        if let Some(phase) = phase {
            if !subjects.of.contains_key(&id)
                && let Some(monitored) = MonitoredWork::of(self, stored, phase, begin)
            {
                subjects.of.insert(id, monitored);
            }
            if let Some(monitored) = subjects.of.get_mut(&id) {
                monitored.take_in(self, stored, phase);
            }
        }
        self.attention.rearm(subjects, id);
        drop(before);
    }

    /// Records that a report about an attempt arrived. The attempt then no longer counts as silent. `advance` is the
    /// progress in the report, if it differs from the earlier progress.
    pub(crate) fn reported(self: &Arc<Self>, key: AttemptKey, advance: Option<Progress>) {
        let awake = self.parts.clock.awake();
        let changes = self.attention.with(key, |monitored| {
            if let Some(progress) = advance {
                monitored.silence.advanced(awake, progress == Progress::DONE);
            }
            let changes = monitored.silence.reported(awake);
            monitored.settle(self);
            changes
        });
        self.attention.rearm(self.attention.lock_set(), key.id);
        self.tell(key, changes.unwrap_or_default());
    }

    /// Stops checking whether an attempt waits for input, because the command itself reports this.
    pub(crate) fn input_is_reported(&self, key: AttemptKey) {
        self.attention.with(key, |monitored| monitored.silence.set_input_reported());
    }

    /// Schedules an inspection soon after input was written to an attempt.
    pub(crate) fn input_given(&self, key: AttemptKey) {
        self.attention.with(key, |monitored| monitored.silence.require_inspection());
        self.attention.schedule_inspection(key, self.parts.clock.awake().plus(AFTER_INPUT));
    }

    /// Passes an observation of the spawner on to the inbox.
    ///
    /// If the observation ends an attempt, four steps come first: the consumers read the rest of the output, the output
    /// of a failed attempt is searched for the first error, the test results are collected, and the artifacts are
    /// copied.
    pub(crate) fn take_in(self: &Arc<Self>, id: ProcessId, observation: Observation) {
        let follower = self.last_follower(id, &observation);
        let artifacts = self.spec_with_artifacts(id, &observation);
        let is_awaited = follower.is_some() || artifacts.is_some() || self.ends_test_run(id, &observation);
        if !is_awaited && !is_failure(&observation) {
            return self.lanes.seen(id, observation);
        }
        let core = self.clone();
        tokio::spawn(async move {
            tracing::trace!(%id, "started to search the output of an attempt that has ended");
            if let Some((written, follower)) = follower {
                follower.finish(&core, written).await;
            }
            let observation = core.with_first_error(id, observation).await;
            let (results, observation) = core.with_test_results(id, None, observation).await;
            results.into_iter().for_each(|results| core.lanes.seen(id, results));
            if let Some(spec) = artifacts {
                core.collect_artifacts(id, &spec, &observation).await;
            }
            core.lanes.seen(id, observation);
        });
    }

    /// Returns the observations that result from output that was written while no manager was running.
    pub(crate) async fn missed(&self, stored: &StoredProcess, end: &Observation) -> Vec<Observation> {
        match written_until(end) {
            Some((attempt, written)) if attempt == stored.process.attempt => {
                follower::missed(self, stored, written).await
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn last_follower(
        self: &Arc<Self>,
        id: ProcessId,
        observation: &Observation,
    ) -> Option<(u64, FollowerTask)> {
        let (attempt, written) = written_until(observation)?;
        let key = AttemptKey { id, attempt };
        let follower = self.attention.with(key, |monitored| monitored.last_follower(self)).flatten()?;
        Some((written, follower))
    }

    /// Checks an attempt for silence, and inspects its process tree if an inspection is due.
    async fn check_attempt(self: &Arc<Self>, key: AttemptKey) {
        let attention = &self.attention;
        let Some(Some(is_command)) = attention.with(key, |monitored| {
            (monitored.phase == MonitorPhase::Working).then(|| monitored.is_command())
        }) else {
            return;
        };
        let mut changes = Vec::new();
        let awake = self.parts.clock.awake();
        let silence_is_known =
            attention.with(key, |monitored| monitored.silence_is_known(awake)).unwrap_or(false);
        if is_command
            && !silence_is_known
            && let Some(size) = self.said(key).await
        {
            let (now, awake) = self.times();
            let heard = attention.with(key, |monitored| monitored.silence.heard(now, awake, &size));
            changes.extend(heard.unwrap_or_default());
        }
        let (_, awake) = self.times();
        let looks =
            attention.with(key, |monitored| monitored.silence.needs_inspection(awake)).unwrap_or(false);
        if looks {
            let look = self.inspect_tree(key).await;
            let (now, awake) = self.times();
            changes.extend(
                attention
                    .with(key, |monitored| monitored.silence.seen(now, awake, look.as_ref()))
                    .unwrap_or_default(),
            );
        }
        let (now, awake) = self.times();
        changes.extend(
            attention.with(key, |monitored| monitored.silence.passed(now, awake)).unwrap_or_default(),
        );
        if changes.iter().any(|(_, holds)| *holds) && !self.is_present(key).await {
            return attention.forget(key);
        }
        attention.with(key, |monitored| monitored.settle(self));
        attention.rearm(attention.lock_set(), key.id);
        self.tell(key, changes);
    }

    /// Returns the output size of an attempt, or `None` if it cannot be read now.
    async fn said(&self, key: AttemptKey) -> Option<OutputSize> {
        match self.parts.output.size(key).await {
            Ok(size) => Some(size),
            Err(OutputError::Missing { .. }) => Some(OutputSize::default()),
            Err(error) => {
                tracing::debug!(id = %key.id, %error, "could not measure the output of an attempt");
                None
            }
        }
    }

    async fn inspect_tree(&self, key: AttemptKey) -> Option<TreeSnapshot> {
        let until = self.parts.clock.awake().plus(INSPECT_TIMEOUT);
        let look = tokio::select! {
            biased;
            look = self.parts.spawner.inspect(key) => look,
            () = self.parts.clock.sleep_until(Deadline::Awake(until)) => {
                let what = "the inspection of a tree timed out".to_owned();
                Err(SpawnError::Unreachable { key, what })
            }
        };
        look.inspect_err(
            |error| tracing::debug!(id = %key.id, %error, "could not inspect the tree of an attempt"),
        )
        .ok()
    }

    /// Returns true if the attempt has not ended. The monitor may contain an ended attempt if it was added from an
    /// outdated record.
    async fn is_present(&self, key: AttemptKey) -> bool {
        match self.load(key.id).await {
            Ok(stored) => stored.process.attempt == key.attempt && MonitorPhase::of(self, &stored).is_some(),
            // On other errors, assume that the attempt has not ended. The decision about the observation loads the
            // record again.
            Err(crate::error::EngineError::NotFound { .. }) => false,
            Err(_) => true,
        }
    }

    fn tell(&self, key: AttemptKey, changes: Vec<ConditionChange>) {
        let at = self.parts.clock.now();
        for (condition, holds) in changes {
            let observation = Observation::ConditionObserved { attempt: key.attempt, condition, holds, at };
            self.lanes.seen(key.id, observation);
        }
    }

    fn times(&self) -> (longhaul_domain::Timestamp, AwakeTime) {
        (self.parts.clock.now(), self.parts.clock.awake())
    }
}

/// Returns the attempt that an observation ends, and the output size of that attempt in bytes; 0 if the size is
/// unknown. Returns `None` if the observation does not end an attempt.
const fn written_until(observation: &Observation) -> Option<(AttemptNo, u64)> {
    match observation {
        Observation::Exited { attempt, exit } => Some((*attempt, exit.output_bytes)),
        Observation::SupervisorLost { attempt, .. } => Some((*attempt, 0)),
        Observation::Claimed { .. }
        | Observation::OwnerLost
        | Observation::ActionRequested(_)
        | Observation::Spawned { .. }
        | Observation::SpawnFailed { .. }
        | Observation::NeverRan { .. }
        | Observation::AlreadyRan { .. }
        | Observation::NodeLost { .. }
        | Observation::HeartbeatMissed { .. }
        | Observation::DescendantsEnded
        | Observation::PauseFailed { .. }
        | Observation::ConditionObserved { .. }
        | Observation::OutputMatched { .. }
        | Observation::OutcomeRead { .. }
        | Observation::TestsCounted { .. }
        | Observation::TestsReported { .. }
        | Observation::ProgressObserved { .. } => None,
    }
}

/// Inspects all work whose inspection is due. Runs until the engine ends.
pub(crate) async fn run_monitor(core: Arc<EngineShared>) {
    loop {
        let due = core.attention.take_due(core.parts.clock.awake());
        side_by_side(due.into_iter().map(|key| {
            let core = core.clone();
            async move { core.check_attempt(key).await }
        }))
        .await;
        let first = core.attention.first();
        tokio::select! {
            biased;
            () = core.attention.changed.notified() => {}
            () = core.parts.clock.sleep_until(Deadline::Awake(first.unwrap_or_default())), if first.is_some() => {}
        }
    }
}

/// Runs all futures, at most [`MAX_CONCURRENT`] at a time. Futures that complete on their first poll, as most
/// inspections do, cause no wake-up.
async fn side_by_side<F: Future<Output = ()> + Send>(mut all: impl Iterator<Item = F> + Send) {
    let mut begun: Vec<Pin<Box<F>>> = Vec::with_capacity(MAX_CONCURRENT);
    std::future::poll_fn(|context: &mut Context<'_>| {
        begun.retain_mut(|each| each.as_mut().poll(context).is_pending());
        while begun.len() < MAX_CONCURRENT {
            let Some(next) = all.next() else { break };
            let mut next = Box::pin(next);
            if next.as_mut().poll(context).is_pending() {
                begun.push(next);
            }
        }
        if begun.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, after, command, running, waiting};
    use longhaul_domain::Interruption;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    #[test]
    fn monitor_that_has_ended_has_nothing_to_do_and_accepts_nothing() {
        let monitor = Monitor::default();
        let id = waiting(1, command()).process.id;
        monitor.lock_set().due.insert((AwakeTime(5), id));
        assert_eq!(monitor.first(), Some(AwakeTime(5)));
        monitor.end();
        assert_eq!(monitor.first(), None);
        assert!(monitor.lock_set().is_over);
    }

    #[test]
    fn record_is_outdated_if_a_later_one_of_its_process_was_removed() {
        let (stored, other) = (waiting(1, command()), waiting(2, command()));
        let mut set = MonitoredSet::default();
        assert!(!set.knows_newer(&stored));
        set.gone.push_back((stored.process.id, Revision(3)));
        let at = |revision| StoredProcess { revision: Revision(revision), ..stored.clone() };
        assert!(set.knows_newer(&at(2)));
        assert!(!set.knows_newer(&at(3)));
        assert!(!set.knows_newer(&other));
        set.gone.push_back((stored.process.id, Revision(5)));
        assert!(set.knows_newer(&at(4)), "the latest removal counts");
    }

    #[tokio::test(start_paused = true)]
    async fn four_inspections_run_at_once_and_the_next_begins_when_one_has_ended() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let inspections = (0..10).map(|_| async {
            let now = running.fetch_add(1, Ordering::Relaxed) + 1;
            most.fetch_max(now, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            running.fetch_sub(1, Ordering::Relaxed);
        });
        let began = tokio::time::Instant::now();
        side_by_side(inspections).await;
        assert_eq!(most.load(Ordering::Relaxed), MAX_CONCURRENT);
        assert_eq!(began.elapsed().as_secs(), 3);
        let mut nothing = std::pin::pin!(side_by_side(std::iter::empty::<std::future::Ready<()>>()));
        assert!(nothing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    fn key_of(stored: &StoredProcess) -> AttemptKey {
        AttemptKey { id: stored.process.id, attempt: stored.process.attempt }
    }

    fn known(core: &EngineShared) -> Vec<ProcessId> {
        core.attention.lock_set().of.keys().copied().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn running_command_is_monitored_until_its_record_says_that_it_ended() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        core.update_from(&stored);
        assert_eq!(known(core), [stored.process.id]);
        assert!(core.attention.first().is_some());
        let attempt = stored.process.attempt;
        let over = after(&stored, &[Observation::SupervisorLost { attempt, why: Interruption::Reboot }]);
        core.update_from(&over);
        assert_eq!(known(core), []);
        assert_eq!(core.attention.first(), None);
        core.update_from(&stored);
        assert_eq!(known(core), [], "an outdated record does not bring it back");
        let other = running(2, command());
        core.update_from(&other);
        assert_eq!(known(core), [other.process.id]);
        core.attention.end();
        core.update_from(&other);
        assert_eq!(known(core), [], "after the end nothing is accepted");
    }

    #[tokio::test(start_paused = true)]
    async fn next_attempt_replaces_the_previous_attempt() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        core.update_from(&stored);
        let mut next = stored.clone();
        next.process.attempt = stored.process.attempt.next();
        next.revision = stored.revision.next();
        core.update_from(&next);
        assert!(core.attention.with(key_of(&stored), |_| ()).is_none());
        assert!(core.attention.with(key_of(&next), |_| ()).is_some());
        core.attention.forget(key_of(&stored));
        assert_eq!(known(core), [stored.process.id], "another attempt is monitored now");
        core.attention.forget(key_of(&next));
        assert_eq!((known(core), core.attention.first()), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_finished_attempts_are_remembered_as_promised() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        for number in 1..=u64::try_from(MAX_FINISHED_ATTEMPTS).unwrap() + 1 {
            let stored = running(number, command());
            core.update_from(&stored);
            let count = core.attention.lock_set().gone.len();
            assert!(core.attention.lock_set().remove(&stored).is_some());
            assert_eq!(core.attention.lock_set().gone.len(), (count + 1).min(MAX_FINISHED_ATTEMPTS));
        }
        assert!(core.attention.lock_set().remove(&running(1, command())).is_none());
        let first = core.attention.lock_set().gone.front().map(|(id, _)| *id);
        assert_eq!(first, Some(running(2, command()).process.id), "the oldest is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn attempt_is_present_until_it_ends_or_another_follows() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let unknown = key_of(&running(1, command()));
        assert!(!core.is_present(unknown).await);
        let launch = crate::launch::Launch {
            spec: command(),
            parent: None,
            launcher: crate::launch::Launcher::Parent,
            captured: None,
            no_queue: false,
        };
        let id = fixture.engine.launch(launch).await.unwrap().stored.process.id;
        fixture.clock.settle().await;
        let key = key_of(&core.load(id).await.unwrap());
        assert!(core.is_present(key).await);
        assert!(!core.is_present(AttemptKey { attempt: key.attempt.next(), ..key }).await);
        fixture.spawner.exit(key, 0);
        fixture.clock.settle().await;
        assert!(!core.is_present(key).await);
    }

    #[tokio::test(start_paused = true)]
    async fn matches_are_missing_only_of_the_attempt_that_the_record_is_about() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let mut spec = command();
        if let longhaul_domain::Work::Command(command) = &mut spec.work {
            command.watch = vec![longhaul_domain::WatchPattern {
                name: "e".to_owned(),
                pattern: "error".to_owned(),
                source: longhaul_domain::WatchSource::Both,
            }];
        }
        let stored = running(1, spec);
        let output = fixture.spawner.output();
        output.write(key_of(&stored), longhaul_ports::OutputSource::Stdout, b"an error\n");
        let lost = |attempt| Observation::SupervisorLost { attempt, why: Interruption::Reboot };
        let attempt = stored.process.attempt;
        for (end, count) in [(lost(attempt), 1), (lost(attempt.next()), 0), (Observation::OwnerLost, 0)] {
            let missed = core.missed(&stored, &end);
            let missed = fixture.clock.run_until(Duration::from_secs(60), missed).await.unwrap();
            assert_eq!(missed.len(), count, "{end:?}");
        }
    }
}
