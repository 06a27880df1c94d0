//! Test runs: the engine collects the test results of the commands that run tests.
//!
//! One task collects the results of each test run on this node. While the tests run, the output follower adds the results
//! in the output, and the task reads the report of the pytest plugin. The task reports the number of tests at most once
//! per second. When the attempt ends, the task reads the rest of all sources, and the results are committed before the
//! end. Results that are not complete in time are committed later. After a restart of the manager, all sources are read
//! again.

mod collection;
mod earlier;
mod list_files;
mod live_tests;
mod pages;
mod parsed_tests;
mod plan;
mod report;
mod rerun;
mod settings;
mod source_parser;
mod stream_lines;
mod task;

pub(crate) use live_tests::LiveTests;
pub use pages::{TestPage, TestPageRequest};
pub use settings::TestRunSettings;

use crate::engine::EngineShared;
use crate::inbox::last_of;
use longhaul_domain::{Deadline, ExitStatus, FirstError, Observation, Process, ProcessId, Spec, State};
use longhaul_insight::test_run::{PYTEST_REPORT_VARIABLE, TestResults};
use longhaul_ports::{AttemptKey, StoredProcess};
use plan::TestPlan;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use task::{CollectedTests, TestRunRequest};
use tokio::sync::{mpsc, oneshot};

/// Name of the file with all tests of an ended run.
const ALL_TESTS: &str = "tests.jsonl";
/// Name of the file with the failed tests of an ended run.
const FAILED_TESTS: &str = "failed-tests.jsonl";
/// Name of the file with the results of an ended run.
const RESULTS: &str = "tests.json";
/// Name of the file that the pytest plugin writes.
const PLUGIN_REPORT: &str = "pytest-report.jsonl";
/// Variable with the directories in which Python searches for modules.
const PYTHON_PATH: &str = "PYTHONPATH";
/// Maximum time by which the collection of the results delays the end of an attempt.
const COLLECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of requests that wait for the task of a test run.
const MAX_REQUESTS: usize = 16;

/// The tasks that collect the results of the test runs on this node.
#[derive(Debug, Default)]
pub(crate) struct TestRuns {
    live: Mutex<BTreeMap<AttemptKey, mpsc::Sender<TestRunRequest>>>,
}

/// Results of a test run that is in progress, and the names of the files with its tests.
#[derive(Debug)]
struct TestSnapshot {
    results: TestResults,
    files: [String; 2],
}

impl TestRuns {
    fn of(&self, key: AttemptKey) -> Option<mpsc::Sender<TestRunRequest>> {
        self.lock_live().get(&key).cloned()
    }

    fn lock_live(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, mpsc::Sender<TestRunRequest>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the task of an attempt and returns the sender of its requests. The task ends after its last request.
    fn remove(&self, key: AttemptKey) -> Option<mpsc::Sender<TestRunRequest>> {
        self.lock_live().remove(&key)
    }

    /// Removes the tasks of all attempts of a process except `kept`.
    fn retain(&self, id: ProcessId, kept: Option<AttemptKey>) {
        self.lock_live().retain(|key, _| key.id != id || Some(*key) == kept);
    }

    /// Removes all tasks, because the engine shuts down.
    pub(crate) fn end(&self) {
        self.lock_live().clear();
    }
}

impl EngineShared {
    /// Starts or ends the collection of test results, depending on the record of a process on this node.
    pub(crate) fn follow_tests(self: &Arc<Self>, stored: &StoredProcess) {
        let process = &stored.process;
        let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.here());
        let has_command = match &process.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => true,
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => false,
        };
        let key = AttemptKey { id: process.id, attempt: process.attempt };
        self.test_runs.retain(process.id, (has_command && is_mine).then_some(key));
        if has_command && is_mine && !self.test_runs.lock_live().contains_key(&key) {
            self.start_collection(process, key);
        }
    }

    /// Starts the task that collects the results of an attempt. Returns `None` if the command of the attempt runs no
    /// tests.
    fn start_collection(
        self: &Arc<Self>,
        process: &Process,
        key: AttemptKey,
    ) -> Option<mpsc::Sender<TestRunRequest>> {
        let plan = TestPlan::of(&process.spec)?;
        let (sender, requests) = mpsc::channel(MAX_REQUESTS);
        self.test_runs.lock_live().insert(key, sender.clone());
        tokio::spawn(task::run(self.clone(), process.clone(), key, plan, requests));
        Some(sender)
    }

    /// Returns the results so far of an attempt, or `None` if its test results are not being collected.
    pub(crate) async fn live_tests(&self, key: AttemptKey) -> Option<Arc<LiveTests>> {
        let (reply, tests) = oneshot::channel();
        self.test_runs.of(key)?.send(TestRunRequest::Live(reply)).await.ok()?;
        tests.await.ok()
    }

    /// Returns true if an observation ends an attempt whose test results are being collected.
    pub(crate) fn ends_test_run(&self, id: ProcessId, observation: &Observation) -> bool {
        last_of(observation).is_some_and(|attempt| self.test_runs.of(AttemptKey { id, attempt }).is_some())
    }

    /// Splits the end of an attempt that ran tests into two observations: the test results, which must be committed
    /// first, and the end with the first failed test. Returns every other observation unchanged. Results that are not
    /// complete in time are committed later.
    pub(crate) async fn with_test_results(
        self: &Arc<Self>,
        id: ProcessId,
        process: Option<&Process>,
        mut observation: Observation,
    ) -> (Option<Observation>, Observation) {
        let Some(attempt) = last_of(&observation) else { return (None, observation) };
        let key = AttemptKey { id, attempt };
        let task = self.test_runs.remove(key).or_else(|| {
            let has_run =
                matches!(observation, Observation::Exited { .. } | Observation::SupervisorLost { .. });
            let process = process.filter(|process| has_run && process.attempt == attempt)?;
            self.start_collection(process, key)?;
            self.test_runs.remove(key)
        });
        let Some(task) = task else { return (None, observation) };
        let (reply, mut collected) = oneshot::channel();
        if task
            .send(TestRunRequest::Finish { has_succeeded: has_succeeded(&observation), reply })
            .await
            .is_err()
        {
            return (None, observation);
        }
        let until = Deadline::Awake(self.parts.clock.awake().plus(COLLECTION_TIMEOUT));
        let in_time = tokio::select! {
            biased;
            collected = &mut collected => collected.ok().flatten(),
            () = self.parts.clock.sleep_until(until) => {
                let core = self.clone();
                tokio::spawn(async move {
                    if let Ok(Some(CollectedTests { report, .. })) = collected.await {
                        core.lanes.seen(id, Observation::TestsReported { attempt, report });
                    }
                });
                None
            }
        };
        let results = in_time.map(|CollectedTests { report, first_error }| {
            add_first_error(&mut observation, first_error);
            Observation::TestsReported { attempt, report }
        });
        (results, observation)
    }

    /// Adds the variables that make pytest load the plugin, if the command runs pytest.
    ///
    /// pytest finds the plugin in a directory of `PYTHONPATH`. If a script replaces this variable, pytest does not find
    /// the plugin and runs without it.
    pub(crate) fn add_test_variables(
        &self,
        process: &Process,
        key: AttemptKey,
        environment: &mut Vec<(String, String)>,
    ) {
        let Some(directory) = &self.settings.test_runs.plugin_directory else { return };
        let Some(report) = self.settings.test_runs.files.path(key, PLUGIN_REPORT) else { return };
        let Some(command) = process.spec.command() else { return };
        let is_removed = command.environment.removed.iter().any(|name| name == PYTHON_PATH);
        // Do not add the plugin if the command runs pip, because pip would list the plugin as an installed package.
        let lists_packages =
            command.args.iter().any(|arg| arg.contains("pip freeze") || arg.contains("pip list"));
        if is_removed || lists_packages || !TestPlan::of(&process.spec).is_some_and(|plan| plan.uses_plugin())
        {
            return;
        }
        environment.retain(|(name, _)| name != PYTEST_REPORT_VARIABLE);
        environment.push((PYTEST_REPORT_VARIABLE.to_owned(), report));
        match environment.iter_mut().find(|(name, _)| name == PYTHON_PATH) {
            // The variable already contains the plugin if the caller itself runs in a test run.
            Some((_, path)) if path.split(':').any(|part| part == directory) => {}
            Some((_, path)) if !path.is_empty() => {
                path.push(':');
                path.push_str(directory);
            }
            Some((_, path)) => path.clone_from(directory),
            None => environment.push((PYTHON_PATH.to_owned(), directory.clone())),
        }
    }
}

/// Returns true if the test results of processes with this spec are collected.
#[must_use]
pub fn has_tests(spec: &Spec) -> bool {
    TestPlan::of(spec).is_some()
}

/// Returns true if the command exited with code 0 and was not stopped.
fn has_succeeded(observation: &Observation) -> bool {
    matches!(
        observation,
        Observation::Exited { exit, .. } if exit.stopped.is_none() && exit.status == ExitStatus::Code(0)
    )
}

/// Adds the first failed test to the exit of a failed command. The test replaces the first error that was found in the
/// output, but keeps the offset and the stream of that error.
fn add_first_error(observation: &mut Observation, first_error: Option<FirstError>) {
    if !crate::failure_analysis::is_failure(observation) {
        return;
    }
    if let (Observation::Exited { exit, .. }, Some(error)) = (observation, first_error) {
        let known = exit.first_error.as_deref().unwrap_or(&error);
        let (has_place, on_stdout, offset) = (known.has_place, known.on_stdout, known.offset);
        exit.first_error = Some(Box::new(FirstError { has_place, on_stdout, offset, ..error }));
    }
}
