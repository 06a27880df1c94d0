//! The task that collects the results of one test run.

use super::TestSnapshot;
use super::collection::TestCollection;
use super::list_files::reason_of;
use super::live_tests::LiveTests;
use super::plan::TestPlan;
use super::report::{first_error_of, report_of, tally_of};
use crate::engine::EngineShared;
use longhaul_domain::{
    AwakeTime, Deadline, FirstError, Observation, Process, State, TestReport, TestTally, Timestamp,
};
use longhaul_insight::test_run::{TestResults, contradiction, doubt};
use longhaul_ports::{AttemptKey, OutputError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Minimum time between two reads of the sources, and between two reports of the number of tests.
const INTERVAL: Duration = Duration::from_secs(1);
/// Delay before the task waits for output again after an error.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// A request to the task of a test run.
#[derive(Debug)]
pub(super) enum TestRunRequest {
    /// Returns the shared results, to which the output follower adds results.
    Live(oneshot::Sender<Arc<LiveTests>>),
    /// Returns the results so far; `None` if there are none.
    Snapshot(oneshot::Sender<Option<TestSnapshot>>),
    /// Reads the rest of all sources, stores the results and ends the task.
    Finish {
        /// True if the command exited with code 0.
        has_succeeded: bool,
        /// Receives the results, or `None` if the command has run no tests.
        reply: oneshot::Sender<Option<CollectedTests>>,
    },
}

/// The results of a test run that has ended.
#[derive(Debug)]
pub(super) struct CollectedTests {
    pub(super) report: Box<TestReport>,
    /// The first failed test.
    pub(super) first_error: Option<FirstError>,
}

/// Collects the results of a test run until its attempt ends, or until the engine drops the sender.
pub(super) async fn run(
    core: Arc<EngineShared>,
    process: Process,
    key: AttemptKey,
    plan: TestPlan,
    mut requests: mpsc::Receiver<TestRunRequest>,
) {
    let earlier = Arc::new(core.earlier_tests(&process).await);
    let directory = process.spec.command().map_or("/", |command| command.directory.as_str());
    let started_at = start_of(&process);
    let tests = Arc::new(LiveTests::new(&plan, &earlier));
    let mut collection = TestCollection::new(key, plan, directory, started_at, earlier, Arc::clone(&tests));
    collection.remember_directories(&core).await;
    let (mut told, mut seen) = (TestTally::default(), 0);
    // The plugin reports the end of a test shortly after the output shows its result. After each read that found
    // results, the task therefore reads once more.
    let mut has_news = false;
    let mut next_read = core.parts.clock.awake();
    loop {
        let source = match (collection.uses_plugin(), has_news) {
            (false, _) => NewsSource::Follower,
            (true, false) => NewsSource::OutputBeyond(seen),
            (true, true) => NewsSource::Read,
        };
        let request = tokio::select! {
            biased;
            request = requests.recv() => request,
            () = tests.list_is_long() => {
                collection.store_output_list(&core).await;
                continue;
            }
            () = news(&core, key, &tests, source, next_read) => {
                while requests.is_empty() && collection.read_page(&core).await {
                    tokio::task::yield_now().await;
                }
                let tally = tally_of(collection.counts());
                has_news = collection.uses_plugin() && (tally != told || collection.output_seen() != seen);
                seen = collection.output_seen();
                if tally != told {
                    told = tally;
                    core.lanes.seen(key.id, Observation::TestsCounted { attempt: key.attempt, tally });
                }
                next_read = core.parts.clock.awake().plus(INTERVAL);
                continue;
            }
        };
        match request {
            None => return,
            Some(TestRunRequest::Live(reply)) => {
                let _ = reply.send(Arc::clone(&tests));
            }
            Some(TestRunRequest::Snapshot(reply)) => {
                // If the receiver no longer exists, no client waits for the answer.
                let _ = reply.send(snapshot(&core, &mut collection).await);
            }
            Some(TestRunRequest::Finish { has_succeeded, reply }) => {
                let _ = reply.send(finish(&core, collection, has_succeeded).await);
                return;
            }
        }
    }
}

/// Returns the start time of the attempt. As long as the start is not recorded, the record contains the start time of
/// the previous attempt.
const fn start_of(process: &Process) -> Timestamp {
    match &process.state {
        State::Starting { since } => *since,
        State::Pending(_)
        | State::Running { .. }
        | State::Reported { .. }
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::CancelRequested { .. }
        | State::AwaitingChildren(_)
        | State::Ended(_) => match process.started_at {
            Some(at) => at,
            None => process.queued_at,
        },
    }
}

/// Event after which new results of a test run are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewsSource {
    /// The output follower has added results.
    Follower,
    /// The output has grown beyond this offset. pytest prints the result of a test when the plugin reports it.
    OutputBeyond(u64),
    /// The last read has found results, so another read may find more.
    Read,
}

/// Waits until `earliest`, and then until there may be new results.
async fn news(
    core: &EngineShared,
    key: AttemptKey,
    tests: &LiveTests,
    source: NewsSource,
    earliest: AwakeTime,
) {
    core.parts.clock.sleep_until(Deadline::Awake(earliest)).await;
    let beyond = match source {
        NewsSource::Follower => return tests.changed().await,
        NewsSource::Read => return,
        NewsSource::OutputBeyond(beyond) => beyond,
    };
    match core.parts.output.grown(key, beyond).await {
        Ok(()) => {}
        Err(error) => {
            let is_missing = matches!(error, OutputError::Missing { .. });
            if !is_missing {
                tracing::debug!(id = %key.id, %error, "could not wait for the output of a test run");
            }
            let delay = if is_missing { INTERVAL } else { RETRY_DELAY };
            let until = core.parts.clock.awake().plus(delay);
            core.parts.clock.sleep_until(Deadline::Awake(until)).await;
        }
    }
}

async fn snapshot(core: &EngineShared, collection: &mut TestCollection) -> Option<TestSnapshot> {
    if !collection.has_results() {
        return None;
    }
    let files = collection.store_so_far(core).await;
    let results = collection.results(collection.summary());
    Some(TestSnapshot { results, files })
}

async fn finish(
    core: &EngineShared,
    mut collection: TestCollection,
    has_succeeded: bool,
) -> Option<CollectedTests> {
    collection.read_rest(core).await;
    if !collection.has_results() {
        return None;
    }
    let summary = collection.summary();
    let unlisted = collection.publish(core, summary.source).await;
    let doubt = if has_succeeded {
        doubt(&summary, collection.earlier().last_total, collection.is_unread())
    } else {
        contradiction(&summary)
    };
    let mut results = collection.results(summary.clone());
    results.doubt.clone_from(&doubt);
    if let Some(why) = &unlisted {
        results.notes.push(format!("the list of all tests was not stored: {why}"));
    }
    store_results(core, collection.key(), &mut results).await;
    let report = Box::new(report_of(&summary, &results, collection.earlier()));
    Some(CollectedTests { first_error: first_error_of(&summary), report })
}

/// Stores the results. If the disk has no space for the ids of all failed tests, stores the results without these ids.
/// The results then contain a note.
async fn store_results(core: &EngineShared, key: AttemptKey, results: &mut TestResults) {
    let files = &core.settings.test_runs.files;
    let Err(error) = files.write(key, super::RESULTS, 0, results.encode()).await else { return };
    tracing::warn!(id = %key.id, %error, "could not store the test results; storing only their counts");
    results.notes.push(format!("the ids of the failed tests were not stored: {}", reason_of(&error)));
    results.failed_ids.clear();
    results.fixed.clear();
    if let Err(error) = files.write(key, super::RESULTS, 0, results.encode()).await {
        tracing::warn!(id = %key.id, %error, "could not store the counts of the tests");
    }
}
