//! Routes that show and change queues.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{QueueListing, QueueRequest};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/queues", list)
            .named("list_queues", "Lists the queues that are in use or on hold")
            .answers::<QueueListing>(200, "The queues"),
        Route::get("/v1/queues/{key}", show)
            .named("show_queue", "Returns the queue of a concurrency key")
            .answers::<QueueListing>(200, "The queue"),
        Route::patch("/v1/queues/{key}", change)
            .named(
                "change_queue",
                "Changes the slots of a key or pattern, or puts its queue on hold or releases it",
            )
            .needs::<QueueRequest>()
            .answers::<QueueListing>(200, "The queue after the change"),
    ]
}

/// `GET /v1/queues`: lists the queues that are in use or held.
async fn list(State(api): State<Api>) -> Result<JsonReply<QueueListing>, ErrorResponse> {
    Ok(JsonReply::ok(api.queues(None).await?))
}

/// `GET /v1/queues/{key}`: shows one queue. An unused queue is shown with the number of slots that it would have.
async fn show(
    State(api): State<Api>,
    key: Result<Path<String>, PathRejection>,
) -> Result<JsonReply<QueueListing>, ErrorResponse> {
    Ok(JsonReply::ok(api.queues(Some(&text(key)?)).await?))
}

/// `PATCH /v1/queues/{key}`: changes the number of slots of a key, or holds or releases its queue. A refused request
/// changes nothing.
async fn change(
    State(api): State<Api>,
    key: Result<Path<String>, PathRejection>,
    JsonBody(request): JsonBody<QueueRequest>,
) -> Result<JsonReply<QueueListing>, ErrorResponse> {
    Ok(JsonReply::ok(api.change_queue(&text(key)?, request).await?))
}

fn text(key: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    match key {
        Ok(Path(text)) => Ok(text),
        Err(error) => Err(ApiError::invalid("concurrency key", error.body_text())),
    }
}
