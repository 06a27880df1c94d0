//! Routes that return the version, health and readiness of the manager.

use crate::error_response::ErrorResponse;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{HealthReply, ReadyReply, VersionReply};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/version", version)
            .named("show_version", "Returns 200 if the manager answers")
            .answers::<VersionReply>(200, "Who answers"),
        Route::get("/v1/health", health)
            .named("check_health", "Returns the state of the manager, and what prevents it from working")
            .answers::<HealthReply>(200, "It answers"),
        Route::get("/v1/ready", ready)
            .named("check_readiness", "Returns 200 if the manager can work: its store answers in time")
            .answers::<ReadyReply>(200, "It can"),
    ]
}

/// `GET /v1/version`: returns the version and identity of the manager.
async fn version(State(api): State<Api>) -> JsonReply<VersionReply> {
    JsonReply::ok(api.version())
}

/// `GET /v1/health`: reports that the manager answers, together with its retention settings.
async fn health(State(api): State<Api>) -> JsonReply<HealthReply> {
    JsonReply::ok(api.health())
}

/// `GET /v1/ready`: reports whether the manager can work, which means that its store answers in time.
async fn ready(State(api): State<Api>) -> Result<JsonReply<ReadyReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.ready().await?))
}
