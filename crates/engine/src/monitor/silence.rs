//! How long an attempt has been silent, when to look at it again, and what holds of it for that.
//!
//! Pure: it is told what was heard and seen, and answers what began and what is over. All times are awake time, so that
//! nobody is called silent for the time that the machine was suspended.

use longhaul_domain::{AwakeTime, Condition, Conditions, SilencePolicy, Timestamp};
use longhaul_ports::{OutputSize, TreeSnapshot};
use std::time::Duration;

/// The first look at a silent tree comes after so long, and the second.
const FIRST_INSPECT_DELAY: Duration = Duration::from_millis(700);
const SECOND_INSPECT_DELAY: Duration = Duration::from_millis(1_500);
/// What may ask for input any time is looked at as often as this while it is silent.
const ACTIVE_INSPECT_INTERVAL: Duration = Duration::from_secs(1);
/// What waits for input is looked at ever more rarely down to this: what ends its wait is heard.
const MAX_INPUT_INSPECT_INTERVAL: Duration = Duration::from_secs(10);
/// What nobody can give input to is looked at ever more rarely down to this, for who opens a terminal later and asks
/// there without a word.
const MAX_INSPECT_INTERVAL: Duration = Duration::from_secs(60);
/// From one look to the next passes so many times what has passed until then.
const BACKOFF_FACTOR: u32 = 3;
/// Moments are moved to the next one of a raster, so that all looks of that time share one wake-up.
const RASTERS: [Duration; 4] =
    [Duration::from_secs(60), Duration::from_secs(15), Duration::from_secs(5), Duration::from_secs(1)];
const MIN_TIMER_GRID: Duration = Duration::from_millis(250);
/// A tree that uses less than this part of one processor does nothing: one in so many.
const IDLE_SHARE: u32 = 100;

/// What is known of the silence of one attempt.
#[derive(Clone, Debug)]
pub(super) struct SilenceMonitor {
    policy: SilencePolicy,
    eyes: InspectMode,
    /// What holds, as far as it was told.
    held: Conditions,
    since: AwakeTime,
    /// When it was last asked how much output there is.
    asked: AwakeTime,
    /// How much output there was; none before that was asked.
    end: Option<u64>,
    /// How long it had been silent at the last look; none before the first one in this silence.
    looked: Option<Duration>,
    has_terminal: bool,
    /// Something happened that a look may find, whatever the time is.
    is_urgent: bool,
    /// Since when its tree uses no processor, and what it had used then.
    calm: Option<(AwakeTime, Duration)>,
}

/// Whether its tree can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InspectMode {
    /// There is none, or none that can be seen.
    Closed,
    /// There is.
    Open,
    /// There is, and its standard input is a pipe.
    OnInput,
}

/// A condition that begins or ends.
pub(super) type ConditionChange = (Condition, bool);

impl SilenceMonitor {
    /// Silent since then. `end` is how much output there was by then, if that is known.
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
            is_urgent: false,
            calm: None,
        }
    }

    /// What the record says holds.
    pub(super) const fn hold(&mut self, held: Conditions) {
        self.held = held;
    }

    pub(super) const fn held(&self) -> &Conditions {
        &self.held
    }

    /// The next time that it is asked about, its tree is looked at.
    pub(super) fn hurry(&mut self) {
        self.is_urgent = self.eyes != InspectMode::Closed;
    }

    /// It was not silent until now.
    pub(super) fn broken(&mut self, now: AwakeTime) -> Vec<ConditionChange> {
        self.begin(now);
        self.over([Condition::Idle, Condition::Stalled, Condition::WaitingForInput])
    }

    /// It reported, which is a sign of life; whether it waits for input is another matter.
    pub(super) fn reported(&mut self, now: AwakeTime) -> Vec<ConditionChange> {
        self.begin(now);
        self.over([Condition::Idle, Condition::Stalled])
    }

    /// How much output there is.
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
                let news = self.broken(awake);
                self.since = spoke.unwrap_or(awake).min(awake);
                news
            }
            Some(_) => Vec::new(),
            None => {
                self.since = self.since.max(spoke.unwrap_or(self.since)).min(awake);
                let stale = |since: Timestamp| size.last_at.is_some_and(|at| at > since);
                let over = [Condition::Idle, Condition::Stalled, Condition::WaitingForInput]
                    .into_iter()
                    .filter(|condition| self.held.since(*condition).is_some_and(stale))
                    .collect::<Vec<_>>();
                self.over(over)
            }
        }
    }

    /// It has said nothing until now; false if that has to be asked, because something holds by it.
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

    /// Whether its tree should be looked at now: it is time, or only a look can prove that it is stalled.
    pub(super) fn wants(&self, awake: AwakeTime) -> bool {
        let proves = self.eyes != InspectMode::Closed && self.stalled_at().is_some_and(|at| at <= awake);
        proves || self.is_urgent || self.look_at().is_some_and(|at| at <= awake)
    }

    /// What a look found; none if it came to nothing.
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
        let mut news = self.change(Condition::WaitingForInput, look.waits_for_input, now);
        let was_busy = match self.calm {
            Some((since, used)) => {
                look.cpu < used || look.cpu.saturating_sub(used) > awake.since(since) / IDLE_SHARE
            }
            None => true,
        };
        if was_busy {
            let is_first = self.calm.is_none();
            self.calm = Some((awake, look.cpu));
            if !is_first {
                news.extend(self.change(Condition::Stalled, false, now));
            }
        }
        news
    }

    /// What holds by the mere passing of time.
    pub(super) fn passed(&mut self, now: Timestamp, awake: AwakeTime) -> Vec<ConditionChange> {
        let mut news = Vec::new();
        if self.idle_at().is_some_and(|at| at <= awake) {
            news.extend(self.change(Condition::Idle, true, now));
        }
        if self.stalled_at().is_some_and(|at| at <= awake) {
            news.extend(self.change(Condition::Stalled, true, now));
        }
        news
    }

    /// When to ask again; none if nothing can come of it.
    pub(super) fn due(&self) -> Option<AwakeTime> {
        let pause = self.pause();
        let look = self.look_at().map(|at| later(at, raster(pause)));
        let rest = [self.idle_at(), self.stalled_at()].into_iter().flatten();
        let rest = rest.map(|at| later(at, MIN_TIMER_GRID));
        look.into_iter().chain(rest).min()
    }

    /// Whether the end of its silence has to be heard: it would end something, or nobody looks for a while.
    pub(super) fn wants_ear(&self) -> bool {
        let ends_something = [Condition::Idle, Condition::Stalled, Condition::WaitingForInput]
            .into_iter()
            .any(|condition| self.held.holds(condition));
        ends_something || self.looked.is_some_and(|silent| silent >= SECOND_INSPECT_DELAY)
    }

    pub(super) const fn end(&self) -> u64 {
        match self.end {
            Some(end) => end,
            None => 0,
        }
    }

    fn begin(&mut self, since: AwakeTime) {
        self.since = since;
        self.looked = None;
        self.is_urgent = false;
        self.calm = None;
    }

    fn over(&mut self, conditions: impl IntoIterator<Item = Condition>) -> Vec<ConditionChange> {
        let held = self.held;
        let over: Vec<ConditionChange> = conditions
            .into_iter()
            .filter(|condition| held.holds(*condition))
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

    /// From one look to the next.
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

    /// Where no tree can be seen, silence alone counts. It is known to be calm only by a look after all that time.
    fn stalled_at(&self) -> Option<AwakeTime> {
        let after = self.policy.stall_after.filter(|_| !self.held.holds(Condition::Stalled))?;
        match (self.eyes, self.calm) {
            (InspectMode::Closed, _) => Some(self.since.plus(after)),
            (InspectMode::Open | InspectMode::OnInput, Some((since, _))) => Some(since.plus(after)),
            (InspectMode::Open | InspectMode::OnInput, None) => None,
        }
    }
}

/// The raster for a pause.
fn raster(pause: Duration) -> Duration {
    RASTERS.into_iter().find(|raster| *raster * 2 <= pause || *raster == pause).unwrap_or(MIN_TIMER_GRID)
}

/// The next moment of a raster that is not before this one.
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

    fn fresh(policy: SilencePolicy, eyes: InspectMode) -> SilenceMonitor {
        SilenceMonitor::new(policy, eyes, Conditions::default(), START, Some(0))
    }

    fn look(waits: bool, cpu: u64) -> TreeSnapshot {
        TreeSnapshot { waits_for_input: waits, cpu: Duration::from_millis(cpu), ..TreeSnapshot::default() }
    }

    /// Looks at each due moment until then; gives the moments, in milliseconds since the start.
    fn looks(silence: &mut SilenceMonitor, until: i64, found: &TreeSnapshot) -> Vec<i64> {
        let mut moments = Vec::new();
        while let Some(due) = silence.due().filter(|due| due.0 <= START.0 + until) {
            let (now, awake) = at(due.0 - START.0);
            assert!(silence.wants(awake));
            silence.seen(now, awake, Some(found));
            moments.push(due.0 - START.0);
        }
        moments
    }

    #[test]
    fn looks_become_rare_where_nobody_can_give_input() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::Open);
        let moments = looks(&mut silence, 3_600_000, &look(false, 0));
        assert_eq!(moments.first(), Some(&750));
        assert!(moments.get(1).is_some_and(|second| *second <= 1_750), "{moments:?}");
        assert!(moments.iter().filter(|moment| **moment <= 60_000).count() <= 8, "{moments:?}");
        assert!((55..=70).contains(&moments.len()), "{moments:?}");
        assert!(silence.wants_ear());
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
    fn what_waits_for_input_is_looked_at_more_and_more_rarely() {
        let mut silence = fresh(SilencePolicy::default(), InspectMode::OnInput);
        let moments = looks(&mut silence, 120_000, &look(true, 0));
        assert!((10..=20).contains(&moments.len()), "{moments:?}");
        assert!(moments.iter().filter(|moment| **moment <= 7_000).count() >= 4, "{moments:?}");
    }

    #[test]
    fn whoever_may_ask_is_looked_at_every_second() {
        let mut on_input = fresh(SilencePolicy::default(), InspectMode::OnInput);
        let moments = looks(&mut on_input, 20_000, &look(false, 0));
        assert!(moments.len() >= 16, "{moments:?}");
        let mut terminal = fresh(SilencePolicy::default(), InspectMode::Open);
        let with_terminal = TreeSnapshot { has_terminal: true, ..TreeSnapshot::default() };
        assert!(looks(&mut terminal, 20_000, &with_terminal).len() >= 16);
    }

    #[test]
    fn new_output_ends_what_silence_began_and_starts_the_looks_anew() {
        let policy = SilencePolicy { idle_after: Some(Duration::from_secs(5)), stall_after: None };
        let mut silence = fresh(policy, InspectMode::Open);
        let (now, awake) = at(6_000);
        assert_eq!(silence.seen(now, awake, Some(&look(true, 0))), [(Condition::WaitingForInput, true)]);
        assert_eq!(silence.passed(now, awake), [(Condition::Idle, true)]);
        assert_eq!(silence.passed(now, awake), []);
        assert!(silence.wants_ear());
        let (now, awake) = at(8_000);
        let size = OutputSize { end: 5, gap: None, last_at: Some(at(7_500).0) };
        assert_eq!(
            silence.heard(now, awake, &size),
            [(Condition::Idle, false), (Condition::WaitingForInput, false)]
        );
        assert!(!silence.wants_ear());
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
        // What works again is stalled no more, though it says nothing.
        let (now, awake) = at(70_000);
        assert_eq!(calm.seen(now, awake, Some(&look(false, 2_000))), [(Condition::Stalled, false)]);
    }

    #[test]
    fn without_eyes_silence_alone_counts_and_nothing_is_due_without_a_policy() {
        assert_eq!(fresh(SilencePolicy::default(), InspectMode::Closed).due(), None);
        let policy = SilencePolicy { idle_after: None, stall_after: Some(Duration::from_secs(10)) };
        let mut silence = fresh(policy, InspectMode::Closed);
        assert_eq!(silence.due(), Some(AwakeTime(START.0 + 10_000)));
        let (now, awake) = at(10_000);
        assert_eq!(silence.passed(now, awake), [(Condition::Stalled, true)]);
        assert_eq!(silence.broken(awake), [(Condition::Stalled, false)]);
    }

    #[test]
    fn what_held_before_a_restart_holds_until_something_newer_was_said() {
        let held = Conditions::default().with(Condition::Idle, Some(at(-5_000).0));
        for (spoke, news) in [(-9_000, vec![]), (-1_000, vec![(Condition::Idle, false)])] {
            let mut silence =
                SilenceMonitor::new(SilencePolicy::default(), InspectMode::Open, held, AwakeTime(0), None);
            let (now, awake) = at(0);
            let size = OutputSize { end: 5, gap: None, last_at: Some(at(spoke).0) };
            assert_eq!(silence.heard(now, awake, &size), news);
            assert_eq!(silence.since, AwakeTime(START.0 + spoke));
        }
    }

    #[test]
    fn the_time_of_a_suspend_is_no_silence() {
        let policy = SilencePolicy { idle_after: Some(Duration::from_secs(60)), stall_after: None };
        let mut silence = fresh(policy, InspectMode::Closed);
        let (now, awake) = at(1_000);
        silence.heard(now, awake, &OutputSize::default());
        // Said something after that, then an hour of suspend.
        let later = Timestamp(now.0 + 3_601_000);
        let size = OutputSize { end: 1, gap: None, last_at: Some(Timestamp(now.0 + 500)) };
        silence.heard(later, AwakeTime(awake.0 + 1_000), &size);
        assert_eq!(silence.passed(later, AwakeTime(awake.0 + 1_000)), []);
        assert!(silence.since >= awake);
    }
}
