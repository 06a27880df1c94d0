//! Implements the tool that returns test results.

use super::output::ResultBudget;
use crate::answer::{JsonObject, object, without_nulls};
use crate::calls::ToolContext;
use crate::error::ToolError;
use crate::tool::input::TestsInput;
use longhaul_wire::api::{TestDiffView, TestsRequest};

impl ToolContext<'_> {
    /// Returns the test results of a process, or their differences from the test results of an earlier run.
    pub(super) async fn test_results(self, asked: TestsInput) -> Result<JsonObject, ToolError> {
        let mut share = ResultBudget::of(asked.max_tokens);
        let id = self.find(&asked.process_id).await?;
        if let Some(base) = &asked.compare_with {
            let base = self.find(base).await?;
            return Ok(fitting(self.api.tests_diff(&id, &base).await?, share));
        }
        let mut request = TestsRequest {
            // A cursor is valid for only one list: the list of all tests or the list of failed tests. The request must
            // name the list of its cursor.
            failed: asked.cursor.as_deref().map_or(!asked.all, |cursor| !cursor.contains("-all-")),
            brief: asked.all,
            cursor: asked.cursor,
            ..TestsRequest::default()
        };
        loop {
            request.max_tokens = Some(share.granted);
            let mut view = self.api.tests(&id, &request).await?;
            if !view.cases.is_empty() {
                // Remove the first failures, because the list of tests also contains them.
                view.tests.failures.clear();
            }
            let answer = without_nulls(object(&view));
            if share.has_room_for(&answer) {
                return Ok(answer);
            }
        }
    }
}

/// Returns the differences. Shortens their lists until the result fits the budget. The counts still include all tests.
fn fitting(mut diff: TestDiffView, share: ResultBudget) -> JsonObject {
    loop {
        let answer = without_nulls(object(&diff));
        let length = serde_json::to_vec(&answer).map_or(0, |json| json.len());
        let lists =
            [&mut diff.added, &mut diff.removed, &mut diff.still_failing, &mut diff.fixed, &mut diff.new];
        // The lists are ordered by their usefulness: the least useful list is the first list, and is shortened first.
        let longest = lists.into_iter().find(|list| !list.ids.is_empty());
        match longest.filter(|_| length > share.bytes) {
            Some(list) => list.ids.truncate(list.ids.len() / 2),
            None => return answer,
        }
    }
}
