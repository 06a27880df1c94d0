//! Decisions about facts that were read from the output of a command, or from reports that the command wrote.

use crate::decide::Decider;
use crate::effect::{Decision, Effect, NoOpReason};
use crate::event::Fact;
use crate::id::{AttemptNo, Stage};
use crate::outcome::ReportedOutcome;
use crate::progress::{ProgressReport, ProgressSource};
use crate::state::{Pending, State};
use crate::test_report::{TestReport, TestTally};
use crate::time::Timestamp;
use std::time::Duration;

/// Maximum delay of a progress report. A report that is older than the latest report by more than this duration counts
/// as a repetition, because a restarted manager reads old reports again.
const LATE_REPORT: Duration = Duration::from_secs(2);

impl Decider<'_> {
    /// Records facts that were read from the output of an agent. Such facts always arrive before the end of the
    /// attempt.
    pub(super) fn outcome_read(&self, outcome: &ReportedOutcome, stage: Option<&Stage>) -> Decision {
        match &self.process.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => {
                let mut step = Decision::nothing();
                let known = &self.process.reported;
                let next = known.completed_from(outcome);
                if next != *known {
                    step.events.push(self.event(Fact::OutcomeReported(next)));
                }
                if let Some(stage) = stage.filter(|stage| self.live_stats.stage.as_ref() != Some(*stage)) {
                    step.events.push(self.event(Fact::StageChanged { stage: stage.clone() }));
                    let report = ProgressReport { stage: Some(stage.clone()), ..ProgressReport::default() };
                    step.effects.push(Effect::Keep { report });
                }
                step.note = step.events.is_empty().then_some(NoOpReason::NoChange);
                step
            }
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    /// Stores the numbers of tests in the live stats. Live stats change without an event.
    pub(super) fn tests_counted(&self, tally: TestTally) -> Decision {
        match &self.process.state {
            State::Running { .. } | State::Paused { .. } | State::Stopping { execution: Some(_), .. } => {
                let report = ProgressReport { tests: Some(tally), ..ProgressReport::default() };
                Decision { effects: vec![Effect::Keep { report }], ..Decision::nothing() }
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { execution: None, .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    /// Records test results, even after the end of the attempt. Test results never change the ending.
    pub(super) fn tests_reported(&self, report: &TestReport) -> Decision {
        let has_run = match &self.process.state {
            State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { execution: Some(_), .. }
            | State::AwaitingChildren(_)
            | State::Ended(_)
            | State::Pending(Pending::Retrying { .. }) => self.process.attempt > AttemptNo(0),
            // The exit of an attempt may be observed before its start.
            State::Starting { .. } | State::Stopping { execution: None, .. } => true,
            State::Pending(_) | State::Reported { .. } | State::CancelRequested { .. } => false,
        };
        if !has_run || self.process.spec.command().is_none() {
            return Decision::noted(NoOpReason::Stale);
        }
        if self.process.tests.as_deref() == Some(report) {
            return Decision::noted(NoOpReason::NoChange);
        }
        let known_doubt = self.process.tests.as_ref().and_then(|tests| tests.doubt.as_ref());
        let new_doubt = report.doubt.as_ref().filter(|doubt| Some(*doubt) != known_doubt);
        let mut events = vec![self.event(Fact::TestsReported(Box::new(report.clone())))];
        events.extend(new_doubt.map(|doubt| self.event(Fact::TestsDoubted(doubt.clone()))));
        Decision { events, ..Decision::nothing() }
    }

    /// Stores progress that longhaul found, unless the progress is already known or the worker reports its own
    /// progress. A restarted manager finds known progress again, so known progress is not an error.
    pub(super) fn progress_observed(&self, report: &ProgressReport, at: Timestamp) -> Decision {
        match &self.process.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. } => {
                let now = self.ctx.now;
                let eta = report.eta.map(|eta| eta.saturating_sub(now.since(at)));
                let report = ProgressReport { eta, ..report.clone() };
                let reported_later = report.source == ProgressSource::Worker
                    && self.live_stats.last_heartbeat.is_some_and(|last| at.plus(LATE_REPORT) < last);
                if reported_later || !self.live_stats.is_changed_by(now, &report) {
                    return Decision::noted(NoOpReason::NoChange);
                }
                self.kept(&report)
            }
            State::Pending(_) | State::AwaitingChildren(_) | State::Ended(_) => {
                Decision::noted(NoOpReason::Stale)
            }
        }
    }
}
