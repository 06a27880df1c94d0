//! Routes that show and end sessions.

use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reply::JsonReply;
use crate::route::Route;
use crate::routes::list;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{EndSessionRequest, ListRequest, OutcomesReply, ProcessList, SessionListing};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/sessions", list_all)
            .named("list_sessions", "Lists sessions")
            .answers::<SessionListing>(
                200,
                "Sessions with live processes, and sessions of the newest 1,000 processes",
            ),
        Route::get("/v1/sessions/{id}", show)
            .named("show_session", "Lists the processes of a session, live and ended")
            .query::<ListRequest>()
            .but_for(&["session"])
            .answers::<ProcessList>(200, "One page of processes"),
        Route::post("/v1/sessions/{id}/end", end)
            .named(
                "end_session",
                "Ends a session. Each of its processes follows its own `on_session_end` setting, unless the request \
                 overrides it",
            )
            .takes::<EndSessionRequest>()
            .answers::<OutcomesReply>(200, "Outcome"),
    ]
}

/// `GET /v1/sessions`: lists the sessions that have processes.
async fn list_all(
    State(api): State<Api>,
    query: QueryString,
) -> Result<JsonReply<SessionListing>, ErrorResponse> {
    query.only(&[])?;
    Ok(JsonReply::ok(api.sessions().await?))
}

/// `GET /v1/sessions/{id}`: lists the processes of a session, live and ended.
async fn show(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    query: QueryString,
) -> Result<JsonReply<ProcessList>, ErrorResponse> {
    Ok(JsonReply::ok(api.session(&session(id)?, &list::read(&query)?).await?))
}

/// `POST /v1/sessions/{id}/end`: ends a session and applies the session policy to each of its processes.
async fn end(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    JsonBody(request): JsonBody<EndSessionRequest>,
) -> Result<JsonReply<OutcomesReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.end_session(&session(id)?, request).await?))
}

fn session(id: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    match id {
        Ok(Path(text)) => Ok(text),
        Err(error) => Err(ApiError::invalid("session", error.body_text())),
    }
}
