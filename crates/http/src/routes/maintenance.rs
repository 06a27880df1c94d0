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
            .named("prune", "Lets ended records and their output go")
            .needs::<PruneRequest>()
            .answers::<PruneReply>(200, "What went, or would go"),
        Route::post("/v1/reset", clear)
            .named("reset", "Stops everything and lets every record go")
            .needs::<ResetRequest>()
            .answers::<ResetReply>(200, "What was stopped and let go, or would be"),
        Route::post("/v1/restart-interrupted", restart_interrupted)
            .named("restart_interrupted", "Runs interrupted work again")
            .replayed(replays)
            .takes::<RestartInterruptedRequest>()
            .answers::<RestartInterruptedReply>(200, "What runs again"),
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
