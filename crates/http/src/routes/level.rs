//! Route that cancels all processes on one level of one tree or of all trees.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{CancelLevelRequest, OutcomesReply};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::post("/v1/cancel", cancel)
            .named(
                "cancel_level",
                "Stops all processes on one level of one tree, or of all trees, with their \
                                    descendants",
            )
            .needs::<CancelLevelRequest>()
            .answers::<OutcomesReply>(200, "Outcome"),
    ]
}

/// `POST /v1/cancel`: cancels the processes on one level and all their descendants.
async fn cancel(
    State(api): State<Api>,
    JsonBody(request): JsonBody<CancelLevelRequest>,
) -> Result<JsonReply<OutcomesReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.cancel_level(request).await?))
}
