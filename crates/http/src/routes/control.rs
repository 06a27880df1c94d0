//! Routes for actions on one process, such as cancel, pause and restart.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::idempotency::{IdempotencyCache, IdempotencyKey, of_key};
use crate::precondition::Precondition;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{
    ActionReply, CancelRequest, LaunchReply, PauseReply, PauseRequest, PriorityRequest, RestartRequest,
    SignalRequest,
};

pub(crate) fn entries(replays: &IdempotencyCache) -> Vec<Route> {
    vec![
        Route::post("/v1/processes/{reference}/cancel", cancel)
            .named(
                "cancel_process",
                "Stops a process and, by default, all its descendants. Replies while they are \
                                      stopping; `GET /v1/wait?for=tree_ended` waits until all have ended",
            )
            .guarded()
            .takes::<CancelRequest>()
            .answers::<ActionReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/pause", pause)
            .named("pause_process", "Pauses a process and, by default, all its descendants")
            .guarded()
            .takes::<PauseRequest>()
            .answers::<PauseReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/resume", resume)
            .named("resume_process", "Resumes a process and, by default, all its descendants")
            .guarded()
            .takes::<PauseRequest>()
            .answers::<PauseReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/signal", signal)
            .named("signal_process", "Sends a signal to a running process")
            .guarded()
            .needs::<SignalRequest>()
            .answers::<ActionReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/priority", priority)
            .named("prioritize_process", "Changes the priority of a waiting process")
            .guarded()
            .needs::<PriorityRequest>()
            .answers::<ActionReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/retry", retry)
            .named("retry_process", "Retries now, for a process that waits for its retry")
            .guarded()
            .answers::<ActionReply>(200, "Outcome"),
        Route::post("/v1/processes/{reference}/restart", restart)
            .named("restart_process", "Runs the command of an ended process again, as a new process")
            .guarded()
            .replayed(replays)
            .takes::<RestartRequest>()
            .answers::<LaunchReply>(201, "The new process was created")
            .answers::<LaunchReply>(200, "The process of an earlier request with the same launch key"),
    ]
}

/// `POST /v1/processes/{ref}/cancel`: cancels a process and all its descendants. If requested, cancels only the
/// process.
async fn cancel(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<CancelRequest>,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.cancel(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/pause`: pauses a process and all its descendants. If requested, pauses only the process.
async fn pause(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<PauseRequest>,
) -> Result<JsonReply<PauseReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.pause(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/resume`: resumes a process and all its descendants. If requested, resumes only the
/// process.
async fn resume(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<PauseRequest>,
) -> Result<JsonReply<PauseReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.resume(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/signal`: sends a signal to the running command.
async fn signal(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<SignalRequest>,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.signal(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/priority`: changes the priority of a process that is waiting in its queue.
async fn priority(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<PriorityRequest>,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.prioritize(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/retry`: immediately starts the next attempt of a process that is waiting for a retry.
async fn retry(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
) -> Result<JsonReply<ActionReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.retry(&reference, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/restart`: runs an ended process again as a new process. An `Idempotency-Key` becomes the
/// launch key of the new process, so that the store still recognizes the key when the manager no longer has its cached
/// responses.
async fn restart(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    expected: Precondition,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(RestartRequest {}): JsonBody<RestartRequest>,
) -> Result<JsonReply<LaunchReply>, ErrorResponse> {
    let launched = match key {
        Some(key) => api.restart_once(&reference, expected.revision(), &key).await.map_err(of_key),
        None => api.restart(&reference, expected.revision()).await,
    };
    let launched = expected.judge(launched)?;
    Ok(JsonReply::launched(launched))
}
