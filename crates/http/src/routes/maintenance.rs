//! Routes that prune records, reset the manager, and restart interrupted processes.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::idempotency::IdempotencyCache;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{
    PruneReply, PruneRequest, ResetReply, ResetRequest, RestartInterruptedReply, RestartInterruptedRequest,
};

pub(crate) fn entries(replays: &IdempotencyCache) -> Vec<Route> {
    vec![
        Route::post("/v1/prune", prune)
            .named("prune", "Prunes records of ended processes, with their output")
            .needs::<PruneRequest>()
            .answers::<PruneReply>(200, "Pruned records, or records that would be pruned"),
        Route::post("/v1/reset", clear)
            .named("reset", "Stops all processes and deletes all records")
            .needs::<ResetRequest>()
            .answers::<ResetReply>(200, "Processes that were, or would be, stopped and deleted"),
        Route::post("/v1/restart-interrupted", restart_interrupted)
            .named("restart_interrupted", "Restarts interrupted processes")
            .replayed(replays)
            .takes::<RestartInterruptedRequest>()
            .answers::<RestartInterruptedReply>(200, "Restarted processes"),
    ]
}

/// `POST /v1/prune`: deletes ended records and their output.
async fn prune(
    State(api): State<Api>,
    JsonBody(request): JsonBody<PruneRequest>,
) -> Result<JsonReply<PruneReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.prune(request).await?))
}

/// `POST /v1/reset`: stops all processes and deletes every record.
async fn clear(
    State(api): State<Api>,
    JsonBody(request): JsonBody<ResetRequest>,
) -> Result<JsonReply<ResetReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.clear(request).await?))
}

/// `POST /v1/restart-interrupted`: restarts interrupted processes.
async fn restart_interrupted(
    State(api): State<Api>,
    JsonBody(request): JsonBody<RestartInterruptedRequest>,
) -> Result<JsonReply<RestartInterruptedReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.restart_interrupted(request).await?))
}
