//! Follows the progress that a command writes to its progress file.

use crate::engine::EngineShared;
use longhaul_domain::{
    AwakeTime, Deadline, Observation, Progress, ProgressDetection, ProgressReport, ProgressSource, Spec,
    Stage, Timestamp,
};
use longhaul_insight::progress::{ProgressLine, ProgressLines};
use longhaul_ports::{AttemptKey, OutputError};
use std::time::Duration;
use tokio::sync::watch;

/// Minimum time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum time between two reads.
const READ_INTERVAL: Duration = Duration::from_millis(250);

/// Returns true if a command of this spec has a progress file.
pub(super) fn is_read(spec: &Spec) -> bool {
    spec.command().is_some_and(|command| command.progress != ProgressDetection::Off)
}

/// Reports the progress in the file until the attempt has ended. Returns at once if the attempt has no such file, for
/// example because an older shim runs it.
///
/// `over` contains a value as soon as the attempt has ended.
pub(super) async fn follow_progress_file(
    core: &EngineShared,
    key: AttemptKey,
    mut over: watch::Receiver<Option<u64>>,
    mut tell: impl FnMut(Observation),
) {
    let clock = &core.parts.clock;
    let at = |moment: AwakeTime| clock.sleep_until(Deadline::Awake(moment));
    let mut reading =
        FileReading { next: 0, lines: ProgressLines::default(), latest: None, is_warned: false };
    let mut report_at = clock.awake();
    loop {
        let is_over = over.borrow_and_update().is_some();
        if !reading.read(core, key).await {
            return;
        }
        let now = clock.awake();
        if (is_over || report_at <= now)
            && let Some(report) = reading.take(key)
        {
            tell(report);
            report_at = now.plus(REPORT_INTERVAL);
        }
        if is_over {
            return;
        }
        let read_at = now.plus(READ_INTERVAL);
        let (next, has_news) = (reading.next, reading.latest.is_some());
        let grown = async {
            at(read_at).await;
            if core.parts.output.progress_grown(key, next).await.is_err() {
                at(read_at.plus(REPORT_INTERVAL)).await;
            }
        };
        tokio::select! {
            biased;
            changed = over.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = at(report_at), if has_news => {}
            () = grown => {}
        }
    }
}

struct FileReading {
    next: u64,
    lines: ProgressLines,
    /// Progress that has not been reported yet, and the time at which the command wrote it.
    latest: Option<(ProgressLine, Timestamp)>,
    is_warned: bool,
}

impl FileReading {
    /// Reads the new lines. Returns false if there is no file.
    async fn read(&mut self, core: &EngineShared, key: AttemptKey) -> bool {
        let page = match core.parts.output.read_progress(key, self.next).await {
            Ok(page) => page,
            Err(OutputError::Missing { .. }) => return false,
            Err(error) => {
                tracing::debug!(id = %key.id, %error, "could not read the progress of a command; retrying");
                return true;
            }
        };
        if page.skipped {
            self.lines.interrupt();
        }
        if let Some(line) = self.lines.push(&page.bytes) {
            let (latest, written) = self.latest.get_or_insert_default();
            latest.merge(line);
            *written = page.at;
        }
        self.next = page.next;
        if self.lines.ignored() > 0 && !self.is_warned {
            self.is_warned = true;
            tracing::warn!(id = %key.id, "ignored lines in LONGHAUL_PROGRESS_FD that contain no progress");
        }
        true
    }

    /// Returns the progress that has not been reported yet, as an observation.
    fn take(&mut self, key: AttemptKey) -> Option<Observation> {
        let (line, at) = self.latest.take()?;
        let report = ProgressReport {
            progress: line.percent.and_then(|percent| Progress::from_percent(percent).ok()),
            is_new_phase: line.is_new_phase,
            stage: line.stage.and_then(|stage| Stage::new(&stage).ok()),
            eta: line.eta,
            source: ProgressSource::Worker,
            ..ProgressReport::default()
        };
        Some(Observation::ProgressObserved { attempt: key.attempt, report, at })
    }
}
