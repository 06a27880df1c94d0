//! Reads the results of earlier test runs.

use crate::engine::EngineShared;
use longhaul_domain::{Process, Spec, Status};
use longhaul_insight::test_run::{EarlierTests, TestResults};
use longhaul_ports::{AttemptKey, PageRequest, ProcessFilter, SortOrder};
use std::collections::BTreeSet;

/// Maximum number of earlier runs that are compared.
const MAX_RUNS: usize = 10;
/// Maximum number of ended processes that are searched for earlier runs.
const MAX_SEARCHED: u32 = 200;
/// Maximum size of stored results that are read, in bytes.
const MAX_RESULTS_LEN: u32 = 8 * 1024 * 1024;

impl EngineShared {
    /// Returns the results of earlier complete test runs with the same project and name. For a process without a name,
    /// these are the runs of the same command in the same directory. Results on other nodes are not read.
    pub(super) async fn earlier_tests(&self, process: &Process) -> EarlierTests {
        let spec = &process.spec;
        let filter = ProcessFilter {
            statuses: vec![Status::Completed, Status::Failed],
            project: spec.project.clone(),
            name: spec.name.clone(),
            ..ProcessFilter::default()
        };
        let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: MAX_SEARCHED };
        let listing = match self.parts.store.list(&filter, &page).await {
            Ok(listing) => listing,
            Err(error) => {
                tracing::debug!(id = %process.id, %error, "could not list earlier test runs");
                return EarlierTests::default();
            }
        };
        let mut earlier = EarlierTests::default();
        let candidates = listing.processes.iter().map(|stored| &stored.process).filter(|other| {
            let has_results = other.tests.as_ref().is_some_and(|tests| tests.complete);
            other.id != process.id
                && other.spec.project == spec.project
                && other.spec.name == spec.name
                && (spec.name.is_some() || is_same_command(spec, &other.spec))
                && has_results
        });
        for other in candidates.take(MAX_RUNS) {
            let is_shrunken = other
                .tests
                .as_ref()
                .and_then(|tests| tests.doubt.as_ref())
                .is_some_and(|doubt| doubt.kind == "fewer_than_before");
            // A run with too few tests would hide that the next run has too few tests as well.
            if earlier.last_total.is_none() && !is_shrunken && is_same_command(spec, &other.spec) {
                earlier.last_total = other.tests.as_ref().map(|tests| tests.tally.total);
            }
            let key = AttemptKey { id: other.id, attempt: other.attempt };
            if let Some(results) = self.stored_results(key).await {
                earlier.failed.push(results.failed_ids.into_iter().collect::<BTreeSet<_>>());
            }
        }
        earlier
    }

    /// Returns the stored results of an attempt. Returns `None` if this node has no readable results.
    pub(super) async fn stored_results(&self, key: AttemptKey) -> Option<TestResults> {
        let files = &self.settings.test_runs.files;
        let part = files.read(key, super::RESULTS, 0, MAX_RESULTS_LEN).await.ok()?;
        TestResults::decode(&part.bytes)
            .inspect_err(|error| tracing::warn!(id = %key.id, %error, "could not read test results"))
            .ok()
    }
}

/// Returns true if both specs run the same command in the same directory.
fn is_same_command(one: &Spec, other: &Spec) -> bool {
    let command = |spec: &Spec| {
        spec.command()
            .map(|command| (command.program.clone(), command.args.clone(), command.directory.clone()))
    };
    command(one) == command(other)
}
