//! Route that searches the output of a process.

use super::text::stream;
use crate::api_handle::ApiHandle;
use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::Route;
use longhaul_wire::api::{SearchRequest, SearchView};

const PARAMETERS: &[&str] = &[
    "pattern",
    "context",
    "max_matches",
    "ignore_case",
    "from_cursor",
    "attempt",
    "stream",
    "max_tokens",
    "raw",
];

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/processes/{reference}/search", search)
            .named("search_output", "Searches the output of a process for lines that match a pattern")
            .query::<SearchRequest>()
            .answers::<SearchView>(200, "Matching lines"),
    ]
}

async fn search(
    ApiHandle(api): ApiHandle,
    PathReference(reference): PathReference,
    query: QueryString,
) -> Result<JsonReply<SearchView>, ErrorResponse> {
    query.only(PARAMETERS)?;
    let request = SearchRequest {
        pattern: query.read("pattern")?.unwrap_or_default(),
        context: query.read("context")?,
        max_matches: query.read("max_matches")?,
        ignore_case: query.flag("ignore_case")?,
        from_cursor: query.read("from_cursor")?,
        attempt: query.read("attempt")?,
        stream: stream(&query)?,
        max_tokens: query.read("max_tokens")?,
        raw: query.flag("raw")?,
    };
    Ok(JsonReply::ok(api.search_output(&reference, &request).await?))
}
