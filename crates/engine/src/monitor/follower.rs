//! Follows the output of a live attempt for its consumers.

use super::consumer_set::ConsumerSet;
use super::output_reading::{DRAIN_TIMEOUT, read_output};
use super::progress_file::{self, follow_progress_file};
use crate::engine::EngineShared;
use longhaul_domain::{Deadline, Observation, Spec};
use longhaul_ports::{AttemptKey, StoredProcess};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Maximum time by which the consumers delay the end of an attempt. It is longer than [`DRAIN_TIMEOUT`], so that the
/// consumers can still report after they have stopped reading.
const FINISH_TIMEOUT: Duration = DRAIN_TIMEOUT.saturating_add(Duration::from_millis(200));

/// The run of the manager in which an attempt started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchStart {
    /// The current run of the manager started the attempt, so nothing has been reported yet.
    Here,
    /// An earlier run of the manager started the attempt, and may already have reported observations.
    Before,
}

/// Reads the output of one live attempt in a task, and passes the output to all consumers. The task stops when this
/// value is dropped.
#[derive(Debug)]
pub(super) struct FollowerTask {
    over: watch::Sender<Option<u64>>,
    task: JoinHandle<()>,
}

impl FollowerTask {
    /// Returns true if the output or the progress of a process with this spec has a reader.
    pub(super) fn is_needed(spec: &Spec) -> bool {
        ConsumerSet::is_needed(spec) || progress_file::is_read(spec)
    }

    pub(super) fn start(
        core: &Arc<EngineShared>,
        key: AttemptKey,
        spec: &Arc<Spec>,
        begin: WatchStart,
    ) -> Self {
        let (over, told) = watch::channel(None);
        let (core, spec) = (core.clone(), Arc::clone(spec));
        let task = tokio::spawn(async move {
            let tell = |observation| core.lanes.seen(key.id, observation);
            let output = async {
                let [mut both, mut stdout, mut stderr] = ConsumerSet::of(&core, key, &spec, begin).await;
                tokio::join!(
                    read_output(&core, key, &mut both, begin, told.clone(), tell),
                    read_output(&core, key, &mut stdout, begin, told.clone(), tell),
                    read_output(&core, key, &mut stderr, begin, told.clone(), tell),
                );
            };
            let progress = async {
                if progress_file::is_read(&spec) {
                    follow_progress_file(&core, key, told.clone(), tell).await;
                }
            };
            tokio::join!(output, progress);
        });
        Self { over, task }
    }

    /// Waits until the consumers have read all `written` bytes of the attempt, but not longer than [`FINISH_TIMEOUT`].
    pub(super) async fn finish(mut self, core: &EngineShared, written: u64) {
        self.over.send_replace(Some(written));
        let until = Deadline::Awake(core.parts.clock.awake().plus(FINISH_TIMEOUT));
        tokio::select! {
            biased;
            _ = &mut self.task => {}
            () = core.parts.clock.sleep_until(until) => {
                tracing::debug!("timed out while reading the last output of an attempt");
            }
        }
    }
}

impl Drop for FollowerTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the observations of the consumers about the output of an attempt that an earlier manager started. `written`
/// is the size of the output in bytes.
pub(crate) async fn missed(core: &EngineShared, stored: &StoredProcess, written: u64) -> Vec<Observation> {
    let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
    let mut missed = Vec::new();
    if progress_file::is_read(&stored.process.spec) {
        let (_over, told) = watch::channel(Some(written));
        follow_progress_file(core, key, told, |report| missed.push(report)).await;
    }
    if ConsumerSet::is_needed(&stored.process.spec) {
        let begin = WatchStart::Before;
        let sets = ConsumerSet::of(core, key, &stored.process.spec, begin).await;
        let (_over, told) = watch::channel(Some(written));
        let until = Deadline::Awake(core.parts.clock.awake().plus(FINISH_TIMEOUT));
        let read = async {
            for mut consumers in sets {
                let tell = |report| missed.push(report);
                read_output(core, key, &mut consumers, begin, told.clone(), tell).await;
            }
        };
        tokio::select! {
            biased;
            () = read => {}
            () = core.parts.clock.sleep_until(until) => {
                tracing::debug!(
                    id = %key.id,
                    "timed out while reading the output of an attempt that an earlier manager started"
                );
            }
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, command, running};
    use longhaul_domain::{WatchPattern, WatchSource, Work};

    #[tokio::test(start_paused = true)]
    async fn follower_ends_with_its_guard() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let mut spec = command();
        if let Work::Command(command) = &mut spec.work {
            let pattern = "x".to_owned();
            command.watch = vec![WatchPattern { name: "e".to_owned(), pattern, source: WatchSource::Both }];
        }
        let stored = running(1, spec);
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let follower = FollowerTask::start(core, key, &stored.process.spec, WatchStart::Here);
        let task = follower.task.abort_handle();
        fixture.clock.settle().await;
        assert!(!task.is_finished());
        drop(follower);
        fixture.clock.settle().await;
        assert!(task.is_finished());
    }
}
