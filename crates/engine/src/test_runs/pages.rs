//! Reads the test results of an attempt in pages.

use super::task::TestRunRequest;
use super::{ALL_TESTS, FAILED_TESTS, TestSnapshot};
use crate::engine::{Engine, EngineShared};
use longhaul_insight::test_run::{ListedTest, TestResults};
use longhaul_ports::{AttemptKey, TestFileError};
use tokio::sync::oneshot;

/// Number of bytes in one read of a list of tests.
const READ_LEN: u32 = 256 * 1024;
/// Maximum number of bytes that are read for one page.
const MAX_PAGE_LEN: usize = 16 * 1024 * 1024;

/// Request for a page of test results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestPageRequest {
    /// True to list only failed tests, with their details.
    pub failed: bool,
    /// Position in the list at which the page starts, in bytes; 0 for the first page.
    pub from: u64,
    /// Maximum number of tests.
    pub limit: usize,
}

/// A page of test results.
#[derive(Clone, Debug, PartialEq)]
pub struct TestPage {
    /// Results of the whole run.
    pub results: TestResults,
    /// Tests of the page, each with the position of the next test.
    pub tests: Vec<(ListedTest, u64)>,
    /// True if there are tests after this page.
    pub has_more: bool,
}

impl Engine {
    /// Returns a page of the test results of an attempt on this node, even while its tests run. Returns `None` if the
    /// attempt has no test results.
    pub async fn test_page(&self, key: AttemptKey, request: TestPageRequest) -> Option<TestPage> {
        self.core.test_page(key, request).await
    }
}

impl EngineShared {
    pub(super) async fn test_page(&self, key: AttemptKey, request: TestPageRequest) -> Option<TestPage> {
        let TestSnapshot { results, files } = match self.live_results(key).await {
            Some(snapshot) => snapshot,
            None => TestSnapshot {
                results: self.stored_results(key).await?,
                files: [ALL_TESTS, FAILED_TESTS].map(str::to_owned),
            },
        };
        let [all, failed] = files;
        let name = if request.failed { failed } else { all };
        let (tests, has_more) = self.listed_tests(key, &name, request).await;
        Some(TestPage { results, tests, has_more })
    }

    /// Returns the results of an attempt whose tests are still running.
    async fn live_results(&self, key: AttemptKey) -> Option<TestSnapshot> {
        let (reply, answer) = oneshot::channel();
        self.test_runs.of(key)?.send(TestRunRequest::Snapshot(reply)).await.ok()?;
        answer.await.ok().flatten()
    }

    /// Reads tests from a list, starting at a given position.
    async fn listed_tests(
        &self,
        key: AttemptKey,
        name: &str,
        request: TestPageRequest,
    ) -> (Vec<(ListedTest, u64)>, bool) {
        let (mut tests, mut next, mut held, mut read_len) = (Vec::new(), request.from, Vec::new(), 0_usize);
        loop {
            let from = next.saturating_add(to_u64(held.len()));
            let part = match self.settings.test_runs.files.read(key, name, from, READ_LEN).await {
                Ok(part) => part,
                Err(TestFileError::Missing { .. }) => return (tests, false),
                Err(error) => {
                    tracing::warn!(id = %key.id, %error, "could not read a list of tests");
                    return (tests, false);
                }
            };
            let is_end = part.bytes.is_empty();
            read_len = read_len.saturating_add(part.bytes.len());
            held.extend_from_slice(&part.bytes);
            let mut rest = held.as_slice();
            while let Some(feed) = rest.iter().position(|byte| *byte == b'\n') {
                if tests.len() >= request.limit {
                    return (tests, true);
                }
                let (line, behind) = rest.split_at_checked(feed).unwrap_or((rest, &[]));
                rest = behind.get(1..).unwrap_or_default();
                next = next.saturating_add(to_u64(feed)).saturating_add(1);
                // Skip a damaged line. The counts still include its test.
                tests.extend(ListedTest::decode(line).map(|test| (test, next)));
            }
            held = rest.to_vec();
            if is_end || read_len >= MAX_PAGE_LEN {
                return (tests, !is_end);
            }
        }
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
