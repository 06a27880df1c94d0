//! Tracks the silence of one attempt: its length, the next inspection time, and the conditions that result from it.
//!
//! This module performs no I/O. The caller passes observations in and receives the conditions that started or ended.
//! All times are awake times, so that the time in which the machine was suspended does not count as silence.

use longhaul_domain::{AwakeTime, Condition, Conditions, SilencePolicy, Timestamp};
use longhaul_ports::{OutputSize, TreeSnapshot};
use std::time::Duration;

/// Silence before the first and the second inspection of a process tree.
const FIRST_INSPECT_DELAY: Duration = Duration::from_millis(700);
const SECOND_INSPECT_DELAY: Duration = Duration::from_millis(1_500);
/// Time between inspections of a silent process that may start to wait for input at any time.
const ACTIVE_INSPECT_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time between inspections of a process that is waiting for input. New output ends this condition without an
/// inspection.
const MAX_INPUT_INSPECT_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum time between inspections of a process without an input pipe or terminal. Such a process may still open a
/// terminal and wait for input without a prompt.
const MAX_INSPECT_INTERVAL: Duration = Duration::from_secs(60);
/// Backoff factor: the delay until the next inspection is the current length of the silence times this factor.
const BACKOFF_FACTOR: u32 = 3;
/// Step sizes to which inspection times are rounded up, so that many timers share one wake-up.
const RASTERS: [Duration; 4] =
    [Duration::from_secs(60), Duration::from_secs(15), Duration::from_secs(5), Duration::from_secs(1)];
const MIN_TIMER_GRID: Duration = Duration::from_millis(250);
/// A tree counts as inactive if its CPU time is less than the elapsed time divided by this number.
const IDLE_SHARE: u32 = 100;

/// State of the silence of one attempt.
#[derive(Clone, Debug)]
pub(super) struct SilenceMonitor {
    policy: SilencePolicy,
    eyes: InspectMode,
    /// The conditions that hold according to the reports so far.
    held: Conditions,
    since: AwakeTime,
    /// Time at which the output size was last checked.
    asked: AwakeTime,
    /// Last known output size in bytes; `None` before the first check.
    end: Option<u64>,
    /// Length of the silence at the last inspection; `None` before the first inspection of this silence.
    looked: Option<Duration>,
    has_terminal: bool,
    /// True if the command itself reports whether it waits for input.
    is_input_reported: bool,
    /// True if an event, such as written input, requires an inspection regardless of the schedule.
    is_urgent: bool,
    /// Start of the period in which the tree has used almost no CPU time, and its total CPU time at that start.
    calm: Option<(AwakeTime, Duration)>,
    /// Time of the last change of the progress; `None` if the progress is unknown or complete.
    advanced: Option<AwakeTime>,
}

/// Says whether the process tree can be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InspectMode {
    /// The process has no tree, or the tree cannot be inspected.
    Closed,
    /// The tree can be inspected.
    Open,
    /// The tree can be inspected, and its standard input is a pipe.
    OnInput,
}

/// A condition, and true if it starts or false if it ends.
pub(super) type ConditionChange = (Condition, bool);

impl SilenceMonitor {
    /// Creates the state of an attempt that has been silent since `since`. `end` is the output size at that time, if it
    /// is known.
    pub(super) fn new(
        policy: SilencePolicy,
        eyes: InspectMode,
        held: Conditions,
        since: AwakeTime,
        end: Option<u64>,
    ) -> Self {
        Self {
            policy,
            eyes,
            held,
            since,
            asked: since,
            end,
            looked: None,
            has_terminal: false,
            is_input_reported: false,
            is_urgent: false,
            calm: None,
            advanced: None,
        }
    }

    /// Records that the progress changed. If no further change follows, the work is stalled after the time limit, even
    /// if the work writes output and uses CPU time.
    pub(super) const fn advanced(&mut self, at: AwakeTime, is_complete: bool) {
        self.advanced = if is_complete { None } else { Some(at) };
    }

    /// Starts a new period of silence, because the work was not running until now.
    pub(super) fn resumed(&mut self, now: AwakeTime) {
        self.advanced = self.advanced.map(|_| now);
        self.begin(now);
    }

    /// Sets the conditions that hold according to the record.
    pub(super) const fn hold(&mut self, held: Conditions) {
        self.held = held;
    }

    pub(super) const fn held(&self) -> &Conditions {
        &self.held
    }

    /// Records that the command itself reports whether it waits for input. Inspections then no longer detect input
    /// waits.
    pub(super) const fn set_input_reported(&mut self) {
        self.is_input_reported = true;
    }

    /// Requires the next check to inspect the tree.
    pub(super) fn require_inspection(&mut self) {
        self.is_urgent = self.eyes != InspectMode::Closed;
    }

    /// Starts a new silence at `now`, and ends all conditions that result from silence.
    pub(super) fn broken(&mut self, now: AwakeTime) -> Vec<ConditionChange> {
        self.begin(now);
        self.over(now, self.ended_by_output())
    }

    /// Starts a new silence because of a report. The waiting-for-input condition does not change.
    pub(super) fn reported(&mut self, now: AwakeTime) -> Vec<ConditionChange> {
        self.begin(now);
        self.over(now, [Condition::Idle, Condition::Stalled])
    }

    /// Records the current output size. If the output has grown, a new silence starts.
    pub(super) fn heard(
        &mut self,
        now: Timestamp,
        awake: AwakeTime,
        size: &OutputSize,
    ) -> Vec<ConditionChange> {
        let known = self.end.replace(size.end);
        let before = self.asked;
        self.asked = awake;
        let spoke =
            size.last_at.map(|at| AwakeTime(awake.0.saturating_sub(millis(now.since(at)))).max(before));
        match known {
            Some(known) if known < size.end => {
                let changes = self.broken(awake);
                self.since = spoke.unwrap_or(awake).min(awake);
                changes
            }
            Some(_) => Vec::new(),
            None => {
                self.since = self.since.max(spoke.unwrap_or(self.since)).min(awake);
                let stale = |since: Timestamp| size.last_at.is_some_and(|at| at > since);
                let over = self
                    .ended_by_output()
                    .filter(|condition| self.held.since(*condition).is_some_and(stale))
                    .collect::<Vec<_>>();
                self.over(awake, over)
            }
        }
    }

    /// Records that no output was written until now. Returns false if the output size must be checked first, because an
    /// idle or stalled condition is due.
    pub(super) fn goes_on(&mut self, awake: AwakeTime) -> bool {
        let is_due = |at: AwakeTime| at <= awake;
        let goes_on = self.end.is_some()
            && !self.idle_at().is_some_and(is_due)
            && !self.stalled_at().is_some_and(is_due);
        if goes_on {
            self.asked = awake;
        }
        goes_on
    }

    /// Returns true if the tree must be inspected now, because an inspection is due or because a stall has to be
    /// proved.
    pub(super) fn needs_inspection(&self, awake: AwakeTime) -> bool {
        let proves = self.eyes != InspectMode::Closed && self.silent_stall_at().is_some_and(|at| at <= awake);
        proves || self.is_urgent || self.look_at().is_some_and(|at| at <= awake)
    }

    /// Records the result of an inspection. `None` means that the inspection failed.
    pub(super) fn seen(
        &mut self,
        now: Timestamp,
        awake: AwakeTime,
        look: Option<&TreeSnapshot>,
    ) -> Vec<ConditionChange> {
        self.looked = Some(awake.since(self.since));
        self.is_urgent = false;
        let Some(look) = look else {
            self.calm = None;
            return Vec::new();
        };
        self.has_terminal = look.has_terminal;
        let mut changes = if self.is_input_reported {
            Vec::new()
        } else {
            self.change(Condition::WaitingForInput, look.waits_for_input, now)
        };
        let was_busy = match self.calm {
            Some((since, used)) => {
                look.cpu < used || look.cpu.saturating_sub(used) > awake.since(since) / IDLE_SHARE
            }
            None => true,
        };
        if was_busy {
            let is_first = self.calm.is_none();
            self.calm = Some((awake, look.cpu));
            if !is_first && !self.lacks_advance(awake) {
                changes.extend(self.change(Condition::Stalled, false, now));
            }
        }
        changes
    }

    /// Returns the conditions that start because their time limit has passed.
    pub(super) fn passed(&mut self, now: Timestamp, awake: AwakeTime) -> Vec<ConditionChange> {
        let mut changes = Vec::new();
        if self.idle_at().is_some_and(|at| at <= awake) {
            changes.extend(self.change(Condition::Idle, true, now));
        }
        if self.stalled_at().is_some_and(|at| at <= awake) {
            changes.extend(self.change(Condition::Stalled, true, now));
        }
        changes
    }

    /// Returns the time of the next check, or `None` if no check can change a condition.
    pub(super) fn due(&self) -> Option<AwakeTime> {
        let pause = self.pause();
        let look = self.look_at().map(|at| later(at, raster(pause)));
        let rest = [self.idle_at(), self.stalled_at()].into_iter().flatten();
        let rest = rest.map(|at| later(at, MIN_TIMER_GRID));
        look.into_iter().chain(rest).min()
    }

    /// Returns true if new output must be reported immediately, because it would end a condition or because the next
    /// inspection may be far away.
    pub(super) fn needs_output_notification(&self) -> bool {
        let ends_something = self.ended_by_output().any(|condition| self.held.holds(condition));
        ends_something || self.looked.is_some_and(|silent| silent >= SECOND_INSPECT_DELAY)
    }

    pub(super) const fn end(&self) -> u64 {
        match self.end {
            Some(end) => end,
            None => 0,
        }
    }

    /// Returns the conditions that new output ends.
    fn ended_by_output(&self) -> impl Iterator<Item = Condition> + use<> {
        let waits = (!self.is_input_reported).then_some(Condition::WaitingForInput);
        [Condition::Idle, Condition::Stalled].into_iter().chain(waits)
    }

    fn begin(&mut self, since: AwakeTime) {
        self.since = since;
        self.looked = None;
        self.is_urgent = false;
        self.calm = None;
    }

    fn over(
        &mut self,
        now: AwakeTime,
        conditions: impl IntoIterator<Item = Condition>,
    ) -> Vec<ConditionChange> {
        let (held, lacks_advance) = (self.held, self.lacks_advance(now));
        let over: Vec<ConditionChange> = conditions
            .into_iter()
            .filter(|condition| {
                held.holds(*condition) && !(lacks_advance && *condition == Condition::Stalled)
            })
            .map(|condition| (condition, false))
            .collect();
        for (condition, _) in &over {
            self.held = self.held.with(*condition, None);
        }
        over
    }

    fn change(&mut self, condition: Condition, holds: bool, now: Timestamp) -> Vec<ConditionChange> {
        if self.held.holds(condition) == holds {
            return Vec::new();
        }
        self.held = self.held.with(condition, holds.then_some(now));
        vec![(condition, holds)]
    }

    /// Returns the delay from the last inspection to the next.
    fn pause(&self) -> Duration {
        match self.looked {
            None => FIRST_INSPECT_DELAY,
            Some(silent) if silent < SECOND_INSPECT_DELAY => SECOND_INSPECT_DELAY.saturating_sub(silent),
            Some(silent) if self.held.holds(Condition::WaitingForInput) => {
                silent.min(MAX_INPUT_INSPECT_INTERVAL)
            }
            Some(_) if self.eyes == InspectMode::OnInput || self.has_terminal => ACTIVE_INSPECT_INTERVAL,
            Some(silent) => silent.saturating_mul(BACKOFF_FACTOR).min(MAX_INSPECT_INTERVAL),
        }
    }

    fn look_at(&self) -> Option<AwakeTime> {
        match self.eyes {
            InspectMode::Closed => None,
            InspectMode::Open | InspectMode::OnInput => {
                Some(self.since.plus(self.looked.unwrap_or_default()).plus(self.pause()))
            }
        }
    }

    fn idle_at(&self) -> Option<AwakeTime> {
        let after = self.policy.idle_after.filter(|_| !self.held.holds(Condition::Idle))?;
        Some(self.since.plus(after))
    }

    /// Returns the time at which the process counts as stalled, because it is silent or because its progress does not
    /// change.
    fn stalled_at(&self) -> Option<AwakeTime> {
        let after = self.policy.stall_after.filter(|_| !self.held.holds(Condition::Stalled))?;
        let lacks_advance_at = self.advanced.map(|at| at.plus(after));
        self.silent_stall_at().into_iter().chain(lacks_advance_at).min()
    }

    /// Returns true if the last change of the progress was longer ago than the time limit.
    fn lacks_advance(&self, now: AwakeTime) -> bool {
        let at = self.policy.stall_after.zip(self.advanced).map(|(after, at)| at.plus(after));
        at.is_some_and(|at| at <= now)
    }

    /// Returns the time at which the process counts as stalled because of its silence. If the tree cannot be inspected,
    /// only the silence counts. Otherwise, the tree must also have been inactive for the whole time, and a last
    /// inspection must confirm this.
    fn silent_stall_at(&self) -> Option<AwakeTime> {
        let after = self.policy.stall_after.filter(|_| !self.held.holds(Condition::Stalled))?;
        match (self.eyes, self.calm) {
            (InspectMode::Closed, _) => Some(self.since.plus(after)),
            (InspectMode::Open | InspectMode::OnInput, Some((since, _))) => Some(since.plus(after)),
            (InspectMode::Open | InspectMode::OnInput, None) => None,
        }
    }
}

/// Returns the step size for rounding, depending on the delay between inspections.
fn raster(pause: Duration) -> Duration {
    RASTERS.into_iter().find(|raster| *raster * 2 <= pause || *raster == pause).unwrap_or(MIN_TIMER_GRID)
}

/// Rounds a time up to the next multiple of the step size.
fn later(at: AwakeTime, raster: Duration) -> AwakeTime {
    let step = millis(raster).max(1);
    let over = at.0.rem_euclid(step);
    if over == 0 { at } else { AwakeTime(at.0.saturating_add(step - over)) }
}

fn millis(span: Duration) -> i64 {
    longhaul_domain::millis(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: AwakeTime = AwakeTime(1_000_000);

    fn at(millis: i64) -> (Timestamp, AwakeTime) {
        (Timestamp(5_000_000 + millis), AwakeTime(START.0 + millis))
    }

    #[test]
    fn wait_for_input_that_the_command_reports_is_ended_by_neither_output_nor_an_inspection() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::Open);
        silence.set_input_reported();
        silence.hold(Conditions::default().with(Condition::WaitingForInput, Some(Timestamp(5_000_001))));
        let (now, awake) = at(5_000);
        assert_eq!(silence.heard(now, awake, &OutputSize { end: 9, ..OutputSize::default() }), []);
        let look = TreeSnapshot { waits_for_input: false, ..TreeSnapshot::default() };
        assert_eq!(silence.seen(now, awake, Some(&look)), []);
        assert!(silence.held().holds(Condition::WaitingForInput));
        let look = TreeSnapshot { waits_for_input: true, ..TreeSnapshot::default() };
        silence.hold(Conditions::default());
        assert_eq!(silence.seen(now, awake, Some(&look)), []);
    }

    fn fresh(policy: SilencePolicy, eyes: InspectMode) -> SilenceMonitor {
        SilenceMonitor::new(policy, eyes, Conditions::default(), START, Some(0))
    }

    fn look(waits: bool, cpu: u64) -> TreeSnapshot {
        TreeSnapshot { waits_for_input: waits, cpu: Duration::from_millis(cpu), ..TreeSnapshot::default() }
    }

    /// Performs each due inspection up to `until`. Returns the inspection times in milliseconds since the start.
    fn looks(silence: &mut SilenceMonitor, until: i64, found: &TreeSnapshot) -> Vec<i64> {
        let mut moments = Vec::new();
        while let Some(due) = silence.due().filter(|due| due.0 <= START.0 + until) {
            let (now, awake) = at(due.0 - START.0);
            assert!(silence.needs_inspection(awake));
            silence.seen(now, awake, Some(found));
            moments.push(due.0 - START.0);
        }
        moments
    }

    #[test]
    fn inspections_become_rare_without_a_source_of_input() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::Open);
        let moments = looks(&mut silence, 3_600_000, &look(false, 0));
        assert_eq!(moments.first(), Some(&750));
        assert!(moments.get(1).is_some_and(|second| *second <= 1_750), "{moments:?}");
        assert!(moments.iter().filter(|moment| **moment <= 60_000).count() <= 8, "{moments:?}");
        assert!((55..=70).contains(&moments.len()), "{moments:?}");
        assert!(silence.needs_output_notification());
    }

    #[test]
    fn terminal_that_is_opened_later_is_found_within_a_minute_and_watched_from_then_on() {
        for opened in [5_000, 100_000, 3_000_000] {
            let mut silence = fresh(SilencePolicy::default(), InspectMode::Open);
            looks(&mut silence, opened, &look(false, 0));
            let asking = TreeSnapshot { has_terminal: true, ..look(false, 0) };
            let moments = looks(&mut silence, opened + 120_000, &asking);
            let first = moments.first().copied().unwrap();
            assert!(first <= opened + opened.min(60_000) + 5_000, "{opened}: {first}");
            let then: Vec<_> = moments.iter().filter(|moment| **moment <= first + 10_000).collect();
            assert!(then.len() >= 9, "{then:?}");
        }
    }

    #[test]
    fn a_tree_that_waits_for_input_is_inspected_less_and_less_often() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::OnInput);
        let moments = looks(&mut silence, 120_000, &look(true, 0));
        assert!((10..=20).contains(&moments.len()), "{moments:?}");
        assert!(moments.iter().filter(|moment| **moment <= 7_000).count() >= 4, "{moments:?}");
    }

    #[test]
    fn a_tree_that_may_wait_for_input_is_inspected_every_second() {
        let mut on_input = fresh(SilencePolicy::default(), InspectMode::OnInput);
        let moments = looks(&mut on_input, 20_000, &look(false, 0));
        assert!(moments.len() >= 16, "{moments:?}");
        let mut terminal = fresh(SilencePolicy::default(), InspectMode::Open);
        let with_terminal = TreeSnapshot { has_terminal: true, ..TreeSnapshot::default() };
        assert!(looks(&mut terminal, 20_000, &with_terminal).len() >= 16);
    }

    #[test]
    fn new_output_ends_the_silence_and_restarts_the_inspections() {
        let policy = SilencePolicy { idle_after: Some(Duration::from_secs(5)), stall_after: None };
        let mut silence = fresh(policy, InspectMode::Open);
        let (now, awake) = at(6_000);
        assert_eq!(silence.seen(now, awake, Some(&look(true, 0))), [(Condition::WaitingForInput, true)]);
        assert_eq!(silence.passed(now, awake), [(Condition::Idle, true)]);
        assert_eq!(silence.passed(now, awake), []);
        assert!(silence.needs_output_notification());
        let (now, awake) = at(8_000);
        let size = OutputSize { end: 5, gap: None, last_at: Some(at(7_500).0) };
        assert_eq!(
            silence.heard(now, awake, &size),
            [(Condition::Idle, false), (Condition::WaitingForInput, false)]
        );
        assert!(!silence.needs_output_notification());
        assert_eq!(silence.due(), Some(AwakeTime(START.0 + 8_250)));
        assert_eq!(silence.heard(now, awake, &size), []);
    }

    #[test]
    fn a_tree_that_works_is_never_stalled_and_one_that_does_nothing_is() {
        let policy = SilencePolicy { idle_after: None, stall_after: Some(Duration::from_secs(10)) };
        let mut busy = fresh(policy, InspectMode::Open);
        let mut calm = fresh(policy, InspectMode::Open);
        let mut stalled_at = None;
        for moment in (750..60_000).step_by(750) {
            let (now, awake) = at(moment);
            busy.seen(now, awake, Some(&look(false, u64::try_from(moment).unwrap() / 50)));
            assert_eq!(busy.passed(now, awake), []);
            calm.seen(now, awake, Some(&look(false, 100)));
            if calm.passed(now, awake) == [(Condition::Stalled, true)] {
                stalled_at = Some(moment);
            }
        }
        assert_eq!(stalled_at, Some(11_250));
        // CPU usage ends the stalled condition even without output.
        let (now, awake) = at(70_000);
        assert_eq!(calm.seen(now, awake, Some(&look(false, 2_000))), [(Condition::Stalled, false)]);
    }

    #[test]
    fn without_inspection_only_silence_counts() {
        assert_eq!(fresh(SilencePolicy::default(), InspectMode::Closed).due(), None);
        let policy = SilencePolicy { idle_after: None, stall_after: Some(Duration::from_secs(10)) };
        let mut silence = fresh(policy, InspectMode::Closed);
        assert_eq!(silence.due(), Some(AwakeTime(START.0 + 10_000)));
        let (now, awake) = at(10_000);
        assert_eq!(silence.passed(now, awake), [(Condition::Stalled, true)]);
        assert_eq!(silence.broken(awake), [(Condition::Stalled, false)]);
    }

    #[test]
    fn conditions_before_a_restart_last_until_a_newer_report() {
        let held = Conditions::default().with(Condition::Idle, Some(at(-5_000).0));
        for (spoke, changes) in [(-9_000, vec![]), (-1_000, vec![(Condition::Idle, false)])] {
            let mut silence =
                SilenceMonitor::new(SilencePolicy::default(), InspectMode::Open, held, AwakeTime(0), None);
            let (now, awake) = at(0);
            let size = OutputSize { end: 5, gap: None, last_at: Some(at(spoke).0) };
            assert_eq!(silence.heard(now, awake, &size), changes);
            assert_eq!(silence.since, AwakeTime(START.0 + spoke));
        }
    }

    #[test]
    fn the_time_of_a_suspend_is_no_silence() {
        let policy = SilencePolicy { idle_after: Some(Duration::from_secs(60)), stall_after: None };
        let mut silence = fresh(policy, InspectMode::Closed);
        let (now, awake) = at(1_000);
        silence.heard(now, awake, &OutputSize::default());
        // Output is written after the last check, and then the machine is suspended for one hour.
        let later = Timestamp(now.0 + 3_601_000);
        let size = OutputSize { end: 1, gap: None, last_at: Some(Timestamp(now.0 + 500)) };
        silence.heard(later, AwakeTime(awake.0 + 1_000), &size);
        assert_eq!(silence.passed(later, AwakeTime(awake.0 + 1_000)), []);
        assert!(silence.since >= awake);
    }

    fn policy(idle: Option<u64>, stall: Option<u64>) -> SilencePolicy {
        let seconds = |span: Option<u64>| span.map(Duration::from_secs);
        SilencePolicy { idle_after: seconds(idle), stall_after: seconds(stall) }
    }

    fn awake(millis: i64) -> AwakeTime {
        at(millis).1
    }

    #[test]
    fn inspection_times_follow_the_schedule_of_each_kind_of_process() {
        let times =
            |eyes, found: &TreeSnapshot| looks(&mut fresh(SilencePolicy::default(), eyes), 145_000, found);
        let closed = times(InspectMode::Open, &look(false, 0));
        assert_eq!(closed, [750, 1_500, 6_000, 25_000, 140_000]);
        let may_ask = times(InspectMode::OnInput, &look(false, 0));
        assert_eq!(may_ask[..5], [750, 1_500, 3_000, 4_000, 5_000]);
        let asks = times(InspectMode::OnInput, &look(true, 0));
        assert_eq!(asks[..7], [750, 1_500, 3_000, 6_000, 12_000, 25_000, 35_000]);
    }

    #[test]
    fn grids_are_at_most_half_of_the_delay_unless_they_equal_it() {
        let seconds = Duration::from_secs;
        for (pause, grid) in [
            (240, 60),
            (120, 60),
            (119, 15),
            (60, 60),
            (59, 15),
            (30, 15),
            (29, 5),
            (15, 15),
            (10, 5),
            (9, 1),
            (2, 1),
            (1, 1),
        ] {
            assert_eq!(raster(seconds(pause)), seconds(grid), "{pause}");
        }
        assert_eq!(raster(Duration::from_millis(999)), MIN_TIMER_GRID);
        assert_eq!(later(AwakeTime(1_000), MIN_TIMER_GRID), AwakeTime(1_000));
        assert_eq!(later(AwakeTime(1_001), MIN_TIMER_GRID), AwakeTime(1_250));
        assert_eq!(later(AwakeTime(1_249), MIN_TIMER_GRID), AwakeTime(1_250));
    }

    #[test]
    fn required_inspection_is_made_once_and_only_where_there_is_a_tree() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::Open);
        assert!(!silence.needs_inspection(awake(100)));
        silence.require_inspection();
        assert!(silence.needs_inspection(awake(100)));
        silence.seen(at(100).0, awake(100), Some(&look(false, 0)));
        assert!(!silence.needs_inspection(awake(101)));
        silence.require_inspection();
        silence.broken(awake(200));
        assert!(!silence.needs_inspection(awake(201)), "new output answers it");
        let mut closed = fresh(SilencePolicy::default(), InspectMode::Closed);
        closed.require_inspection();
        assert!(!closed.needs_inspection(awake(100)));
    }

    #[test]
    fn stall_is_proved_by_an_inspection_where_there_is_a_tree() {
        let stalls = policy(None, Some(10));
        let mut silence = fresh(stalls, InspectMode::Open);
        silence.seen(at(1_000).0, awake(1_000), Some(&look(false, 5)));
        assert!(!silence.needs_inspection(awake(1_400)));
        silence.seen(at(5_000).0, awake(5_000), Some(&look(false, 5)));
        assert!(!silence.needs_inspection(awake(10_999)));
        assert!(silence.needs_inspection(awake(11_000)));
        let closed = fresh(stalls, InspectMode::Closed);
        assert!(!closed.needs_inspection(awake(60_000)));
    }

    #[test]
    fn tree_is_calm_while_it_uses_at_most_a_hundredth_of_a_processor() {
        for (used, calm) in [(100, true), (101, false)] {
            let mut silence = fresh(policy(None, Some(10)), InspectMode::Open);
            silence.seen(at(0).0, awake(0), Some(&look(false, 1_000)));
            silence.seen(at(10_000).0, awake(10_000), Some(&look(false, 1_000 + used)));
            let news = silence.passed(at(10_000).0, awake(10_000));
            assert_eq!(news == [(Condition::Stalled, true)], calm, "{used}");
        }
        // The CPU time becomes smaller when a process of the tree ends. The measurement then starts again.
        let mut silence = fresh(policy(None, Some(10)), InspectMode::Open);
        silence.seen(at(0).0, awake(0), Some(&look(false, 1_000)));
        silence.seen(at(5_000).0, awake(5_000), Some(&look(false, 10)));
        assert_eq!(silence.passed(at(10_000).0, awake(10_000)), []);
        assert_eq!(silence.passed(at(15_000).0, awake(15_000)), [(Condition::Stalled, true)]);
        // The first inspection proves nothing, so it does not end the condition either.
        let held = Conditions::default().with(Condition::Stalled, Some(at(-1).0));
        let mut silence =
            SilenceMonitor::new(policy(None, Some(10)), InspectMode::Open, held, START, Some(0));
        assert_eq!(silence.seen(at(0).0, awake(0), Some(&look(false, 7))), []);
    }

    #[test]
    fn failed_inspection_begins_the_measurement_again() {
        let mut silence = fresh(policy(None, Some(10)), InspectMode::Open);
        silence.seen(at(0).0, awake(0), Some(&look(false, 0)));
        assert_eq!(silence.seen(at(5_000).0, awake(5_000), None), []);
        assert_eq!(silence.passed(at(20_000).0, awake(20_000)), []);
    }

    #[test]
    fn silence_continues_without_reads_of_the_output_until_a_condition_is_due() {
        let mut silence = fresh(policy(Some(5), None), InspectMode::Closed);
        assert!(silence.goes_on(awake(4_999)));
        assert!(!silence.goes_on(awake(5_000)));
        let mut silence = fresh(policy(None, Some(7)), InspectMode::Closed);
        assert!(silence.goes_on(awake(6_999)));
        assert!(!silence.goes_on(awake(7_000)));
        let mut unknown =
            SilenceMonitor::new(policy(None, None), InspectMode::Open, Conditions::default(), START, None);
        assert!(!unknown.goes_on(awake(1)));
    }

    #[test]
    fn output_that_was_written_since_the_last_check_is_dated_by_its_time_within_that_span() {
        let mut silence = fresh(policy(Some(60), None), InspectMode::Closed);
        assert!(silence.goes_on(awake(4_000)));
        let size = |end, last: i64| OutputSize { end, gap: None, last_at: Some(at(last).0) };
        silence.heard(at(5_000).0, awake(5_000), &size(3, 4_500));
        assert_eq!((silence.since, silence.end()), (awake(4_500), 3));
        silence.heard(at(6_000).0, awake(6_000), &size(4, 2_000));
        assert_eq!(silence.since, awake(5_000), "not before the last check");
        silence.heard(at(7_000).0, awake(7_000), &size(4, 6_500));
        assert_eq!(silence.since, awake(5_000), "the size is the same");
        silence.heard(at(8_000).0, awake(8_000), &OutputSize { end: 5, gap: None, last_at: None });
        assert_eq!(silence.since, awake(8_000));
    }

    #[test]
    fn report_ends_idleness_and_leaves_the_wait_for_input() {
        let mut silence = fresh(policy(Some(5), None), InspectMode::Open);
        silence.seen(at(6_000).0, awake(6_000), Some(&look(true, 0)));
        silence.passed(at(6_000).0, awake(6_000));
        assert_eq!(silence.reported(awake(7_000)), [(Condition::Idle, false)]);
        assert!(silence.held().holds(Condition::WaitingForInput));
        assert!(silence.needs_output_notification(), "output would end the wait");
        assert_eq!(silence.passed(at(11_999).0, awake(11_999)), []);
        assert_eq!(silence.passed(at(12_000).0, awake(12_000)), [(Condition::Idle, true)]);
    }

    #[test]
    fn output_is_worth_a_notification_once_inspections_are_rare() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::Open);
        assert!(!silence.needs_output_notification());
        silence.seen(at(1_499).0, awake(1_499), Some(&look(false, 0)));
        assert!(!silence.needs_output_notification());
        silence.seen(at(1_500).0, awake(1_500), Some(&look(false, 0)));
        assert!(silence.needs_output_notification());
    }

    #[test]
    fn output_of_the_instant_in_which_a_condition_began_does_not_end_it() {
        let held = Conditions::default().with(Condition::Idle, Some(at(-5_000).0));
        for (spoke, news) in [(-5_000, vec![]), (-4_999, vec![(Condition::Idle, false)])] {
            let mut silence =
                SilenceMonitor::new(SilencePolicy::default(), InspectMode::Open, held, AwakeTime(0), None);
            let size = OutputSize { end: 5, gap: None, last_at: Some(at(spoke).0) };
            assert_eq!(silence.heard(at(0).0, awake(0), &size), news, "{spoke}");
        }
    }
}
