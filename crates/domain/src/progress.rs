//! How far a process is, and when it will be done.

use crate::id::Stage;
use crate::time::Timestamp;
use std::time::Duration;

/// How far a process is: 0 to 100 percent, in hundredths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress(u16);

/// A progress that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("progress must be a number from 0 to 100")]
pub struct InvalidProgress;

impl Progress {
    /// Nothing is done.
    pub const NONE: Self = Self(0);
    /// Everything is done.
    pub const DONE: Self = Self(10_000);

    /// Reads a percentage; what lies outside 0 to 100 is moved to the nearer end.
    ///
    /// # Errors
    /// [`InvalidProgress`] for what is no finite number.
    pub fn from_percent(percent: f64) -> Result<Self, InvalidProgress> {
        if !percent.is_finite() {
            return Err(InvalidProgress);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=10000 before"
        )]
        Ok(Self((percent.clamp(0.0, 100.0) * 100.0).round() as u16))
    }

    /// Reads hundredths of a percent, as stores keep them; beyond 10,000 is everything.
    #[must_use]
    pub fn from_hundredths(hundredths: u16) -> Self {
        Self(hundredths.min(10_000))
    }

    /// Hundredths of a percent.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// The percentage.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// What a worker tells about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgressReport {
    /// How far it is.
    pub progress: Option<Progress>,
    /// What it is doing.
    pub stage: Option<Stage>,
}

/// Facts about a live attempt that are worth no event: the latest wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// How far it is.
    pub progress: Option<Progress>,
    /// What it is doing.
    pub stage: Option<Stage>,
    /// The last sign of life.
    pub last_heartbeat: Option<Timestamp>,
    /// The reports that the estimate rests on.
    pub progress_rate: Option<ProgressRate>,
    /// Bytes of output so far.
    pub output_bytes: u64,
}

impl LiveStats {
    /// Takes in a report that was made at `now`.
    #[must_use]
    pub fn reported(&self, now: Timestamp, report: &ProgressReport) -> Self {
        Self {
            progress: report.progress.or(self.progress),
            stage: report.stage.clone().or_else(|| self.stage.clone()),
            last_heartbeat: Some(now),
            progress_rate: match report.progress {
                Some(progress) => Some(ProgressRate::after(self.progress_rate, now, progress)),
                None => self.progress_rate,
            },
            output_bytes: self.output_bytes,
        }
    }

    /// How long the rest will take: none before two reports that lie 2 s apart and show progress.
    #[must_use]
    pub fn eta(&self, now: Timestamp) -> Option<Duration> {
        self.progress_rate.and_then(|progress_rate| progress_rate.eta(now))
    }
}

/// The first and the latest report of progress since it last went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressRate {
    /// When the first was made.
    pub first_at: Timestamp,
    /// What it said.
    pub first: Progress,
    /// When the latest was made.
    pub last_at: Timestamp,
    /// What it said.
    pub last: Progress,
}

/// No estimate rests on less time than this.
const MIN_BASIS: Duration = Duration::from_secs(2);

impl ProgressRate {
    /// Takes in a report; one that goes back starts anew.
    fn after(before: Option<Self>, now: Timestamp, progress: Progress) -> Self {
        match before {
            Some(progress_rate) if progress >= progress_rate.last => {
                Self { last_at: now, last: progress, ..progress_rate }
            }
            Some(_) | None => Self { first_at: now, first: progress, last_at: now, last: progress },
        }
    }

    /// The time that the rest takes at the mean speed since the first report, less the time since the latest.
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
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_number_is_no_progress() {
        assert_eq!(Progress::from_percent(f64::NAN), Err(InvalidProgress));
        assert_eq!(Progress::from_percent(f64::INFINITY), Err(InvalidProgress));
        assert_eq!(Progress::from_percent(-3.0), Ok(Progress::NONE));
        assert_eq!(Progress::from_percent(1e300), Ok(Progress::DONE));
    }

    #[test]
    fn one_report_or_two_in_a_rush_give_no_estimate() {
        let one = LiveStats::default().reported(Timestamp(0), &at(10.0));
        assert_eq!(one.eta(Timestamp(10_000)), None);
        let rushed = one.reported(Timestamp(1_999), &at(20.0));
        assert_eq!(rushed.eta(Timestamp(2_000)), None);
        let enough = rushed.reported(Timestamp(2_000), &at(20.0));
        assert_eq!(enough.eta(Timestamp(2_000)), Some(Duration::from_secs(16)));
    }

    #[test]
    fn progress_that_goes_back_starts_the_estimate_anew() {
        let live_stats = LiveStats::default()
            .reported(Timestamp(0), &at(10.0))
            .reported(Timestamp(5_000), &at(60.0))
            .reported(Timestamp(6_000), &at(5.0));
        assert_eq!(live_stats.eta(Timestamp(6_000)), None);
        let live_stats = live_stats.reported(Timestamp(10_000), &at(25.0));
        assert_eq!(live_stats.eta(Timestamp(10_000)), Some(Duration::from_secs(15)));
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
            let eta = i64::try_from(live_stats.eta(Timestamp(now)).unwrap().as_millis()).unwrap();
            prop_assert!((eta - truth).abs() * 5 <= truth.max(5), "{eta} for {truth}");
        }

        #[test]
        fn the_estimate_is_never_negative_and_never_panics(
            reports in prop::collection::vec((any::<i64>(), any::<u16>()), 0..20), now: i64,
        ) {
            let mut live_stats = LiveStats::default();
            for (at, hundredths) in reports {
                let progress = Some(Progress::from_hundredths(hundredths));
                live_stats = live_stats.reported(Timestamp(at), &ProgressReport { progress, stage: None });
            }
            let _ = live_stats.eta(Timestamp(now));
        }
    }

    fn at(percent: f64) -> ProgressReport {
        ProgressReport { progress: Some(Progress::from_percent(percent).unwrap()), stage: None }
    }
}
