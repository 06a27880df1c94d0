//! Route that launches processes.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::idempotency::{IdempotencyKey, of_key};
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{LaunchReply, LaunchRequest};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::post("/v1/processes", launch)
            .named("launch_process", "Launches a command, or registers reported work")
            .idempotent()
            .needs::<LaunchRequest>()
            .answers::<LaunchReply>(201, "The process was created")
            .answers::<LaunchReply>(
                200,
                "The process that an earlier launch with the same launch key created",
            ),
    ]
}

/// `POST /v1/processes`: launches a process. An `Idempotency-Key` is used as the launch key, which is stored
/// permanently.
async fn launch(
    State(api): State<Api>,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(mut request): JsonBody<LaunchRequest>,
) -> Result<JsonReply<LaunchReply>, ErrorResponse> {
    let has_key = key.is_some();
    if let Some(key) = key {
        if request.launch_key.as_ref().is_some_and(|other| *other != key) {
            let why = "the header Idempotency-Key and the body contain different launch keys";
            return Err(ApiError::invalid("launch key", why).into());
        }
        request.launch_key = Some(key);
    }
    let launched = api.launch(request).await.map_err(|fault| if has_key { of_key(fault) } else { fault })?;
    Ok(JsonReply::launched(launched))
}
