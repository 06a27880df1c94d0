//! Routes through which commands and reporters report on their processes.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::precondition::Precondition;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{ActionReply, CompleteRequest, FailRequest, UpdateRequest};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::patch("/v1/processes/{reference}", update)
            .named("update_process", "Stores a progress report of a process")
            .guarded()
            .takes::<UpdateRequest>()
            .answers::<ActionReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/complete", complete)
            .named("complete_process", "Ends reported work as completed")
            .guarded()
            .takes::<CompleteRequest>()
            .answers::<ActionReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/fail", fail)
            .named("fail_process", "Ends reported work as failed")
            .guarded()
            .needs::<FailRequest>()
            .answers::<ActionReply>(200, "Outcome"),
    ]
}

/// `PATCH /v1/processes/{ref}`: applies a report, such as progress or a new status.
async fn update(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<UpdateRequest>,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    let outcome = expected.judge(api.update(&reference, request, expected.revision()).await)?;
    let revision = outcome.process.revision;
    Ok(JsonReply::ok(outcome).tagged(revision))
}

/// `POST /v1/processes/{ref}/complete`: ends reported work as completed.
async fn complete(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<CompleteRequest>,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.complete(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/fail`: ends reported work as failed.
async fn fail(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<FailRequest>,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.fail(&reference, request, expected.revision()).await)?))
}
