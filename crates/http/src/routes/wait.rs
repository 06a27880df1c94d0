//! Route that waits until processes reach a state.

use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{WaitReply, WaitRequest};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/wait", wait)
            .named("wait_for_processes", "Waits until processes have ended or run, or the timeout is over")
            .query::<WaitRequest>()
            .answers::<WaitReply>(200, "The processes after the wait"),
    ]
}

const PARAMETERS: &[&str] = &["id", "mode", "timeout_ms", "for"];

/// `GET /v1/wait`: waits until processes reach a state. If the client disconnects, the wait ends and the processes
/// continue.
async fn wait(State(api): State<Api>, query: QueryString) -> Result<JsonReply<WaitReply>, ErrorResponse> {
    query.only(PARAMETERS)?;
    let request = WaitRequest {
        ids: query.all("id").map(str::to_owned).collect(),
        goal: query.text("for").map(str::to_owned),
        mode: query.text("mode").map(str::to_owned),
        timeout_ms: query.read("timeout_ms")?,
    };
    Ok(JsonReply::ok(api.wait(&request).await?))
}
