//! Routes for the results of test runs.

use crate::api_handle::ApiHandle;
use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::idempotency::IdempotencyCache;
use crate::precondition::Precondition;
use crate::query::QueryString;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::{ParameterLocation, Route};
use axum::extract::State;
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{RerunFailedReply, RerunFailedRequest, TestDiffView, TestResultsView, TestsRequest};
use serde_json::json;

const PARAMETERS: &[&str] = &["attempt", "failed", "brief", "limit", "cursor", "max_tokens"];

pub(crate) fn entries(replays: &IdempotencyCache) -> Vec<Route> {
    vec![
        Route::get("/v1/processes/{reference}/tests", tests)
            .named("list_tests", "Returns the test results of a process, even while its tests are running")
            .query::<TestsRequest>()
            .answers::<TestResultsView>(200, "Page of test results"),
        Route::get("/v1/processes/{reference}/tests/diff", diff)
            .named("compare_tests", "Compares the test results of two processes")
            .parameter(
                ParameterLocation::Query,
                "base",
                "Process to compare with; required",
                json!({ "type": "string", "minLength": 1 }),
            )
            .answers::<TestDiffView>(200, "Differences"),
        Route::post("/v1/processes/{reference}/rerun-failed", rerun_failed)
            .named("rerun_failed_tests", "Runs only the failed tests of an ended process, as a new process")
            .guarded()
            .replayed(replays)
            .takes::<RerunFailedRequest>()
            .answers::<RerunFailedReply>(201, "The new process was created")
            .answers::<RerunFailedReply>(200, "Dry run: the command that would run the failed tests"),
    ]
}

/// `GET /v1/processes/{ref}/tests`: returns a page of test results.
async fn tests(
    ApiHandle(api): ApiHandle,
    PathReference(reference): PathReference,
    query: QueryString,
) -> Result<JsonReply<TestResultsView>, ErrorResponse> {
    query.only(PARAMETERS)?;
    let request = TestsRequest {
        attempt: query.read("attempt")?,
        failed: query.flag("failed")?,
        brief: query.flag("brief")?,
        limit: query.read("limit")?,
        cursor: query.read("cursor")?,
        max_tokens: query.read("max_tokens")?,
    };
    Ok(JsonReply::ok(api.tests(&reference, &request).await?))
}

/// `GET /v1/processes/{ref}/tests/diff`: compares the test results of two processes.
async fn diff(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    query: QueryString,
) -> Result<JsonReply<TestDiffView>, ErrorResponse> {
    query.only(&["base"])?;
    let missing = || ApiError::invalid("base", "the process to compare with is missing");
    let base = query.text("base").ok_or_else(missing)?;
    Ok(JsonReply::ok(api.tests_diff(&reference, base).await?))
}

/// `POST /v1/processes/{ref}/rerun-failed`: runs the failed tests of an ended process again.
async fn rerun_failed(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<RerunFailedRequest>,
) -> Result<JsonReply<RerunFailedReply>, ErrorResponse> {
    let reply = expected.judge(api.rerun_failed(&reference, &request, expected.revision()).await)?;
    Ok(JsonReply::rerun(reply))
}
