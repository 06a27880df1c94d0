//! Route that counts processes.

use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{StatsRequest, StatsView};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/stats", stats)
            .named("count_processes", "Counts processes, by level and in total")
            .query::<StatsRequest>()
            .answers::<StatsView>(200, "The numbers"),
    ]
}

/// `GET /v1/stats`: counts processes by level and in total.
async fn stats(State(api): State<Api>, query: QueryString) -> Result<JsonReply<StatsView>, ErrorResponse> {
    query.only(&["session", "tree", "project"])?;
    let text = |name| query.text(name).map(str::to_owned);
    let request = StatsRequest { session: text("session"), tree: text("tree"), project: text("project") };
    Ok(JsonReply::ok(api.stats(&request).await?))
}
