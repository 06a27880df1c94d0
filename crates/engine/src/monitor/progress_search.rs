//! Searches the output of an attempt for progress.

use super::output_consumer::{OutputConsumer, ReportPace};
use crate::failure_analysis::stream_of;
use longhaul_domain::{
    AttemptNo, Observation, Progress, ProgressDetection, ProgressReport, ProgressSource, Timestamp,
};
use longhaul_insight::progress::{ProgressParser, ProgressUpdate};
use longhaul_ports::{AttemptKey, OutputChunk, OutputSource};

/// Reports the latest progress that the command printed.
#[derive(Debug)]
pub(super) struct ProgressSearch {
    attempt: AttemptNo,
    parser: ProgressParser,
    /// Latest progress that has not been reported yet, and the time at which the command printed it.
    latest: Option<(ProgressUpdate, Timestamp)>,
    /// Time of the last chunk.
    read_at: Timestamp,
}

impl ProgressSearch {
    /// Creates a search. Returns `None` if the output is not searched for progress. Ignores an invalid pattern:
    /// launches with invalid patterns are rejected, but another program may have written the record.
    pub(super) fn new(key: AttemptKey, detection: &ProgressDetection) -> Option<Self> {
        let parser = match detection {
            ProgressDetection::Off | ProgressDetection::Descriptor => return None,
            ProgressDetection::Auto => ProgressParser::auto(),
            ProgressDetection::Pattern(pattern) => ProgressParser::with_pattern(pattern)
                .inspect_err(
                    |error| tracing::warn!(id = %key.id, %error, "could not detect the progress in the output"),
                )
                .ok()?,
        };
        Some(Self { attempt: key.attempt, parser, latest: None, read_at: Timestamp::default() })
    }

    /// Replaces the progress that has not been reported yet. If the replaced progress started a new phase, the new
    /// progress keeps this mark.
    fn keep(&mut self, update: ProgressUpdate, at: Timestamp) {
        let is_new_phase =
            update.is_new_phase || self.latest.as_ref().is_some_and(|(old, _)| old.is_new_phase);
        self.latest = Some((ProgressUpdate { is_new_phase, ..update }, at));
    }
}

impl OutputConsumer for ProgressSearch {
    fn stream(&self) -> Option<OutputSource> {
        None
    }

    fn pace(&self) -> ReportPace {
        ReportPace::Latest { may_skip: true }
    }

    fn push(&mut self, chunk: &OutputChunk) {
        self.read_at = chunk.at;
        if let Some(update) = self.parser.push(stream_of(chunk.source), &chunk.bytes) {
            self.keep(update, chunk.at);
        }
    }

    fn quiet(&mut self) {
        if let Some(update) = self.parser.quiet() {
            self.keep(update, self.read_at);
        }
    }

    fn interrupt(&mut self) {
        self.parser.interrupt();
    }

    fn take_reports(&mut self) -> Vec<Observation> {
        let Some((update, at)) = self.latest.take() else { return Vec::new() };
        let report = ProgressReport {
            progress: Progress::from_percent(update.percent).ok(),
            is_new_phase: update.is_new_phase,
            eta: update.eta,
            source: ProgressSource::Output,
            ..ProgressReport::default()
        };
        vec![Observation::ProgressObserved { attempt: self.attempt, report, at }]
    }
}
