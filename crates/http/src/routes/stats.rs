//! Statistics.

use crate::entry::Entry;
use crate::query::Query;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{StatsRequest, StatsView};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::get("/v1/stats", stats)
            .named("count_processes", "Counts processes by level and in total")
            .query::<StatsRequest>()
            .answers::<StatsView>(200, "The numbers"),
    ]
}

/// `GET /v1/stats`.
async fn stats(State(api): State<Api>, query: Query) -> Result<Reply<StatsView>, Refused> {
    query.only(&["session", "tree", "project"])?;
    let text = |name| query.text(name).map(str::to_owned);
    let request = StatsRequest { session: text("session"), tree: text("tree"), project: text("project") };
    Ok(Reply::ok(api.stats(&request).await?))
}
