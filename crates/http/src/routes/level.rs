//! Route that cancels one level of one tree or of all trees.

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
            .named("cancel_level", "Ends one level of one tree, or of all, with all that stands below it")
            .needs::<CancelLevelRequest>()
            .answers::<OutcomesReply>(200, "What came of it"),
    ]
}

/// `POST /v1/cancel`: cancels the processes of one level and all their descendants.
async fn cancel(
    State(api): State<Api>,
    JsonBody(request): JsonBody<CancelLevelRequest>,
) -> Result<JsonReply<OutcomesReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.cancel_level(request).await?))
}
