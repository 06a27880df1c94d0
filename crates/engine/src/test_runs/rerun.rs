//! Launches the failed tests of a process again.

use super::pages::TestPageRequest;
use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use crate::launch::LaunchOutcome;
use longhaul_domain::{Action, CommandSpec, Process, ProcessId, Revision, Spec, Work};
use longhaul_insight::test_run::{FailedTest, rerun_command};
use longhaul_ports::AttemptKey;
use std::sync::Arc;

/// Maximum number of failed tests that one command runs.
const MAX_FAILED: usize = 10_000;

/// The command that runs the failed tests of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTestsCommand {
    /// Program and arguments; `None` if the framework cannot run these tests alone, or if no test failed.
    pub argv: Option<Vec<String>>,
    /// Number of failed tests.
    pub tests: u64,
}

impl Engine {
    /// Returns the command that runs the failed tests of an attempt on this node. Returns `None` if the attempt has no
    /// test results.
    pub async fn failed_tests_command(
        &self,
        process: &Process,
        key: AttemptKey,
    ) -> Option<FailedTestsCommand> {
        self.core.failed_tests_command(process, key).await
    }

    /// Launches an ended process again with another command line. The new process is linked to the old one.
    ///
    /// # Errors
    /// As for [`restart`](Self::restart).
    pub async fn restart_with(
        &self,
        id: ProcessId,
        argv: Vec<String>,
        expected: Option<Revision>,
    ) -> Result<LaunchOutcome, EngineError> {
        let old = self.command(id, Action::Restart, expected).await?.stored.process;
        let core = self.core.clone();
        run_to_completion(async move { core.run_other(old, argv).await }).await
    }
}

impl EngineShared {
    async fn failed_tests_command(&self, process: &Process, key: AttemptKey) -> Option<FailedTestsCommand> {
        let request = TestPageRequest { failed: true, from: 0, limit: MAX_FAILED };
        let page = self.test_page(key, request).await?;
        let failed: Vec<FailedTest> =
            page.tests.iter().map(|(test, _)| FailedTest::new(&test.case)).collect();
        let command = process.spec.command()?;
        let argv: Vec<String> = std::iter::once(&command.program).chain(&command.args).cloned().collect();
        let is_complete =
            !page.has_more && u64::try_from(failed.len()) == Ok(page.results.summary.counts.failures());
        let framework = page.results.summary.framework.filter(|_| is_complete);
        Some(FailedTestsCommand {
            argv: framework.and_then(|framework| rerun_command(framework, &argv, &failed)),
            tests: page.results.summary.counts.failures(),
        })
    }

    async fn run_other(
        self: &Arc<Self>,
        mut old: Process,
        argv: Vec<String>,
    ) -> Result<LaunchOutcome, EngineError> {
        // The signature covers the old command line, so it must be checked before the change.
        self.verify(&old)?;
        let mut words = argv.into_iter();
        let spec = old.spec.as_ref().clone();
        let work = match (spec.work, words.next()) {
            (Work::Command(command), Some(program)) => {
                Work::Command(Box::new(CommandSpec { program, args: words.collect(), ..*command }))
            }
            (work, _) => work,
        };
        old.spec = Arc::new(Spec { work, ..spec });
        self.launch_again(&old, None, None).await
    }
}
