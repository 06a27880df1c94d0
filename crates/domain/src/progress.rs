//! The progress of a process and its estimated remaining time.

use crate::id::Stage;
use crate::test_report::TestTally;
use crate::time::Timestamp;
use std::time::Duration;

/// The progress of a process: 0 to 100 percent, stored in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress(u16);

/// The error for a progress value that is below 0 or above 100 percent, or not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("progress must be a number from 0 to 100")]
pub struct InvalidProgress;

impl Progress {
    /// Progress of 0 percent.
    pub const NONE: Self = Self(0);
    /// Progress of 100 percent.
    pub const DONE: Self = Self(10_000);

    /// Converts a percentage.
    ///
    /// # Errors
    /// [`InvalidProgress`] if `percent` is below 0 or above 100, or not a number.
    pub fn from_percent(percent: f64) -> Result<Self, InvalidProgress> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(InvalidProgress);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the percentage is between 0 and 100, so the value is between 0 and 10000"
        )]
        Ok(Self((percent * 100.0).round() as u16))
    }

    /// Converts hundredths of a percent, the unit in which stores write progress. Values above 10,000 become 10,000.
    #[must_use]
    pub fn from_hundredths(hundredths: u16) -> Self {
        Self(hundredths.min(10_000))
    }

    /// Returns the progress in hundredths of a percent.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// Returns the progress in percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// The source of a progress report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressSource {
    /// The worker reported its progress. Such a report takes precedence over the other sources.
    #[default]
    Worker,
    /// longhaul found the progress in the output of the command.
    Output,
    /// longhaul estimated the remaining time from earlier runs of the same process name.
    History,
}

/// The data from which a remaining time was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtaSource {
    /// The worker reported the remaining time.
    Reported,
    /// longhaul computed the remaining time from the progress of this run.
    Progress,
    /// longhaul computed the remaining time from the durations of earlier runs.
    History,
}

impl EtaSource {
    /// Returns the name of the source.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Progress => "progress",
            Self::History => "history",
        }
    }
}

/// A progress report of a worker, or progress that longhaul found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgressReport {
    /// Current progress; `None` leaves the last value unchanged. Progress that is lower than the last value is ignored,
    /// unless a new phase begins.
    pub progress: Option<Progress>,
    /// True if the source reports that a new phase begins.
    pub is_new_phase: bool,
    /// Current stage; `None` leaves the last value unchanged.
    pub stage: Option<Stage>,
    /// Remaining time that the source estimates. It takes precedence over the estimate that is derived from the
    /// progress, until the next report that contains progress or a remaining time.
    pub eta: Option<Duration>,
    /// Number of tests with a result so far; `None` leaves the last value unchanged.
    pub tests: Option<TestTally>,
    /// Source of the report.
    pub source: ProgressSource,
    /// True if the worker announces that it reports when it waits for input.
    pub reports_input: bool,
}

/// A remaining time that a worker or longhaul estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedEta {
    /// Time of the report that contains the estimate.
    pub at: Timestamp,
    /// Remaining time at the time of the report.
    pub remaining: Duration,
    /// Source of the estimate.
    pub source: ProgressSource,
}

/// Live stats of a running attempt. Only the latest values are stored. A change creates no event, unless the stage is
/// new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// Latest reported progress.
    pub progress: Option<Progress>,
    /// Source of the latest progress.
    pub progress_source: ProgressSource,
    /// Latest reported stage.
    pub stage: Option<Stage>,
    /// Time of the last heartbeat or report.
    pub last_heartbeat: Option<Timestamp>,
    /// First and latest progress report, from which the remaining time is estimated.
    pub progress_rate: Option<ProgressRate>,
    /// Remaining time in the latest report.
    pub reported_eta: Option<ReportedEta>,
    /// Number of bytes of output so far.
    pub output_bytes: u64,
    /// Number of tests with a result so far.
    pub tests: Option<TestTally>,
    /// True if the worker itself reports when it waits for input.
    pub reports_input: bool,
}

impl LiveStats {
    /// Returns the time of the latest report or heartbeat.
    #[must_use]
    pub fn updated_at(&self) -> Option<Timestamp> {
        let rate = self.progress_rate.map(|rate| rate.last_at);
        self.last_heartbeat.max(rate).max(self.reported_eta.map(|eta| eta.at))
    }

    /// Returns the live stats after a report that was made at `now`.
    #[must_use]
    pub fn reported(&self, now: Timestamp, report: &ProgressReport) -> Self {
        let progress = self.accepted_progress(report);
        Self {
            progress: progress.or(self.progress),
            progress_source: if progress.is_some() { report.source } else { self.progress_source },
            stage: report.stage.clone().or_else(|| self.stage.clone()),
            last_heartbeat: match report.source {
                ProgressSource::Worker => Some(now),
                ProgressSource::Output | ProgressSource::History => self.last_heartbeat,
            },
            progress_rate: match progress {
                Some(progress) => Some(ProgressRate::after(self.progress_rate, now, progress)),
                None => self.progress_rate,
            },
            reported_eta: match (report.eta, progress) {
                (Some(remaining), _) => Some(ReportedEta { at: now, remaining, source: report.source }),
                (None, Some(_)) => None,
                (None, None) => self.reported_eta,
            },
            output_bytes: self.output_bytes,
            tests: report.tests.or(self.tests),
            reports_input: self.reports_input || report.reports_input,
        }
    }

    /// Returns the progress in a report, unless it is lower than before and no new phase begins.
    ///
    /// A new phase begins if the report says so, names another stage or comes from another source, or if the previous
    /// progress was 100 percent.
    fn accepted_progress(&self, report: &ProgressReport) -> Option<Progress> {
        let progress = report.progress?;
        let Some(before) = self.progress.filter(|before| progress < *before) else { return Some(progress) };
        let has_other_stage = report.stage.is_some() && report.stage != self.stage;
        let begins_phase = report.is_new_phase
            || has_other_stage
            || before == Progress::DONE
            || report.source != self.progress_source;
        begins_phase.then_some(progress)
    }

    /// Returns the estimated remaining time and the basis of the estimate.
    ///
    /// A reported estimate is reduced by the time since the report. Without a reported estimate, the remaining time is
    /// computed from two reports of the progress: they must be at least 2 s apart and show an advance. Returns `None`
    /// without such reports, and also if the only estimate comes from the durations of earlier runs and has already
    /// passed.
    #[must_use]
    pub fn eta(&self, now: Timestamp) -> Option<(Duration, EtaSource)> {
        let Some(reported) = self.reported_eta else {
            let rate = self.progress_rate.as_ref()?;
            return Some((rate.eta(now)?, EtaSource::Progress));
        };
        let left = reported.remaining.saturating_sub(now.since(reported.at));
        match reported.source {
            ProgressSource::Worker => Some((left, EtaSource::Reported)),
            ProgressSource::Output => Some((left, EtaSource::Progress)),
            ProgressSource::History => (!left.is_zero()).then_some((left, EtaSource::History)),
        }
    }

    /// Returns true if the report contains new values and no better source has already reported. Reports of the worker
    /// are better than progress in the output. Both are better than an estimate from earlier runs.
    #[must_use]
    pub fn is_changed_by(&self, now: Timestamp, report: &ProgressReport) -> bool {
        let has_own_report = (self.progress.is_some() && self.progress_source == ProgressSource::Worker)
            || self.reported_eta.is_some_and(|eta| eta.source == ProgressSource::Worker);
        let is_outranked = match report.source {
            ProgressSource::Worker => false,
            ProgressSource::Output => has_own_report,
            ProgressSource::History => has_own_report || self.progress.is_some(),
        };
        !is_outranked
            && (self.accepted_progress(report).is_some_and(|progress| Some(progress) != self.progress)
                || (report.stage.is_some() && report.stage != self.stage)
                || report.eta.is_some_and(|eta| self.is_other_eta(now, eta, report.source))
                || (report.reports_input && !self.reports_input))
    }

    fn is_other_eta(&self, now: Timestamp, eta: Duration, source: ProgressSource) -> bool {
        self.reported_eta.is_none_or(|known| {
            let left = known.remaining.saturating_sub(now.since(known.at));
            known.source != source || left.abs_diff(eta) >= ETA_TOLERANCE
        })
    }
}

/// Maximum difference between two remaining times that count as equal. Programs print the remaining time in whole
/// seconds.
const ETA_TOLERANCE: Duration = Duration::from_secs(2);

/// The first and the latest progress report since the progress last decreased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressRate {
    /// Time of the first report.
    pub first_at: Timestamp,
    /// Progress in the first report.
    pub first: Progress,
    /// Time of the latest report.
    pub last_at: Timestamp,
    /// Progress in the latest report.
    pub last: Progress,
}

/// Minimum time between the first and the latest report from which the remaining time is estimated.
const MIN_BASIS: Duration = Duration::from_secs(2);

impl ProgressRate {
    /// Returns the pair of reports after a new report. If the progress is lower than before, the pair starts again with
    /// the new report.
    fn after(before: Option<Self>, now: Timestamp, progress: Progress) -> Self {
        match before {
            Some(progress_rate) if progress >= progress_rate.last => {
                Self { last_at: now, last: progress, ..progress_rate }
            }
            Some(_) | None => Self { first_at: now, first: progress, last_at: now, last: progress },
        }
    }

    /// Returns the remaining time at the mean speed since the first report, minus the time that has passed since the
    /// latest report.
    fn eta(&self, now: Timestamp) -> Option<Duration> {
        let basis = self.last_at.since(self.first_at);
        let done = u64::from(self.last.hundredths().saturating_sub(self.first.hundredths()));
        if basis < MIN_BASIS || done == 0 {
            return None;
        }
        let left = u64::from(Progress::DONE.hundredths().saturating_sub(self.last.hundredths()));
        let basis = u64::try_from(basis.as_millis()).unwrap_or(u64::MAX);
        let rest = Duration::from_millis(basis.saturating_mul(left) / done);
        Some(rest.saturating_sub(now.since(self.last_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::EtaSource::{History, Progress as Advance, Reported};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_number_is_no_progress() {
        assert_eq!(Progress::from_percent(f64::NAN), Err(InvalidProgress));
        assert_eq!(Progress::from_percent(f64::INFINITY), Err(InvalidProgress));
        for percent in [-3.0, -0.001, 100.001, 101.0, 1e300] {
            assert_eq!(Progress::from_percent(percent), Err(InvalidProgress), "{percent}");
        }
        for (percent, progress) in [(0.0, Progress::NONE), (-0.0, Progress::NONE), (100.0, Progress::DONE)] {
            assert_eq!(Progress::from_percent(percent), Ok(progress), "{percent}");
        }
    }

    #[test]
    fn progress_goes_back_only_with_a_new_phase() {
        let now = Timestamp(0);
        let staged = |percent, stage: &str| ProgressReport { stage: Stage::new(stage).ok(), ..at(percent) };
        let from_output = |percent| ProgressReport { source: ProgressSource::Output, ..at(percent) };
        let begun = |percent| ProgressReport { is_new_phase: true, ..at(percent) };
        for (reports, expected) in [
            (vec![at(50.0), at(40.0)], 50.0),
            (vec![staged(50.0, "copy"), staged(40.0, "copy")], 50.0),
            (vec![staged(50.0, "copy"), staged(40.0, "check")], 40.0),
            (vec![at(50.0), begun(40.0)], 40.0),
            (vec![at(100.0), at(5.0)], 5.0),
            (vec![from_output(50.0), from_output(40.0)], 50.0),
            (vec![from_output(50.0), at(40.0)], 40.0),
        ] {
            let kept = reports.iter().fold(LiveStats::default(), |known, report| known.reported(now, report));
            assert_eq!(kept.progress, at(expected).progress, "{reports:?}");
        }
        let known = LiveStats::default().reported(now, &at(50.0));
        assert!(!known.is_changed_by(now, &at(40.0)));
        assert_eq!(known.reported(Timestamp(7), &at(40.0)).last_heartbeat, Some(Timestamp(7)));
    }

    #[test]
    fn one_report_or_two_in_a_rush_give_no_estimate() {
        let one = LiveStats::default().reported(Timestamp(0), &at(10.0));
        assert_eq!(one.eta(Timestamp(10_000)), None);
        let rushed = one.reported(Timestamp(1_999), &at(20.0));
        assert_eq!(rushed.eta(Timestamp(2_000)), None);
        let enough = rushed.reported(Timestamp(2_000), &at(20.0));
        assert_eq!(enough.eta(Timestamp(2_000)), Some((Duration::from_secs(16), Advance)));
    }

    #[test]
    fn decreasing_progress_restarts_the_estimate() {
        let live_stats = LiveStats::default()
            .reported(Timestamp(0), &at(10.0))
            .reported(Timestamp(5_000), &at(60.0))
            .reported(Timestamp(6_000), &ProgressReport { is_new_phase: true, ..at(5.0) });
        assert_eq!(live_stats.eta(Timestamp(6_000)), None);
        let live_stats = live_stats.reported(Timestamp(10_000), &at(25.0));
        assert_eq!(live_stats.eta(Timestamp(10_000)), Some((Duration::from_secs(15), Advance)));
    }

    #[test]
    fn estimate_of_the_worker_counts_down_and_wins_until_the_next_report() {
        let report = ProgressReport { eta: Some(Duration::from_secs(90)), ..at(10.0) };
        let live_stats = LiveStats::default().reported(Timestamp(0), &report);
        assert_eq!(live_stats.eta(Timestamp(0)), Some((Duration::from_secs(90), Reported)));
        assert_eq!(live_stats.eta(Timestamp(30_000)), Some((Duration::from_secs(60), Reported)));
        assert_eq!(live_stats.eta(Timestamp(100_000)), Some((Duration::ZERO, Reported)));
        let staged = live_stats.reported(Timestamp(30_000), &ProgressReport::default());
        assert_eq!(
            staged.eta(Timestamp(30_000)),
            Some((Duration::from_secs(60), Reported)),
            "a heartbeat leaves the estimate"
        );
        let advanced = live_stats.reported(Timestamp(10_000), &at(60.0));
        assert_eq!(advanced.eta(Timestamp(10_000)), Some((Duration::from_secs(8), Advance)));
    }

    #[test]
    fn report_of_the_worker_outranks_its_output_and_its_output_outranks_history() {
        let from = |source| ProgressReport { source, ..at(30.0) };
        let minutes = |count: u64| ProgressReport {
            eta: Some(Duration::from_secs(60 * count)),
            source: ProgressSource::History,
            ..ProgressReport::default()
        };
        let now = Timestamp(0);
        let unknown = LiveStats::default();
        let (output, worker) = (from(ProgressSource::Output), from(ProgressSource::Worker));
        assert!(unknown.is_changed_by(now, &minutes(3)) && unknown.is_changed_by(now, &output));
        let estimated = unknown.reported(now, &minutes(3));
        assert_eq!(estimated.eta(Timestamp(60_000)), Some((Duration::from_secs(120), History)));
        assert_eq!(estimated.eta(Timestamp(180_000)), None, "an overdue process has no estimate");
        assert_eq!(estimated.last_heartbeat, None);
        assert!(!estimated.is_changed_by(Timestamp(60_000), &minutes(2)), "the same end");
        let printed = estimated.reported(now, &output);
        assert_eq!((printed.eta(now), printed.last_heartbeat), (None, None));
        assert!(!printed.is_changed_by(now, &output) && !printed.is_changed_by(now, &minutes(3)));
        let reported = printed.reported(now, &worker);
        let lower = ProgressReport { source: ProgressSource::Output, ..at(20.0) };
        assert!(!reported.is_changed_by(now, &lower));
        assert!(!printed.is_changed_by(now, &lower));
        assert!(printed.is_changed_by(now, &ProgressReport { is_new_phase: true, ..lower }));
        let staged = unknown.reported(
            now,
            &ProgressReport { eta: Some(Duration::from_secs(5)), ..ProgressReport::default() },
        );
        assert!(!staged.is_changed_by(now, &output));
    }

    proptest! {
        #[test]
        fn the_estimate_for_a_steady_worker_is_within_a_fifth(total in 10_000_i64..10_000_000, share in 30_i64..99) {
            let mut live_stats = LiveStats::default();
            let mut now = 0;
            for step in 0..=share {
                now = total * step / 100;
                #[expect(clippy::cast_precision_loss, reason = "at most 99")]
                let percent = step as f64;
                live_stats = live_stats.reported(Timestamp(now), &at(percent));
            }
            let truth = total - now;
            let eta = i64::try_from(live_stats.eta(Timestamp(now)).unwrap().0.as_millis()).unwrap();
            prop_assert!((eta - truth).abs() * 5 <= truth.max(5), "{eta} for {truth}");
        }

        #[test]
        fn the_estimate_is_never_negative_and_never_panics(
            reports in prop::collection::vec((any::<i64>(), any::<u16>()), 0..20), now: i64,
        ) {
            let mut live_stats = LiveStats::default();
            for (at, hundredths) in reports {
                let progress = Some(Progress::from_hundredths(hundredths));
                live_stats = live_stats.reported(Timestamp(at), &ProgressReport { progress, ..ProgressReport::default() });
            }
            let _ = live_stats.eta(Timestamp(now));
        }
    }

    fn at(percent: f64) -> ProgressReport {
        ProgressReport {
            progress: Some(Progress::from_percent(percent).unwrap()),
            ..ProgressReport::default()
        }
    }
}
