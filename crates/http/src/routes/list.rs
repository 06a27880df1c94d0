//! Route that lists processes.

use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::State;
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{ListRequest, ProcessList};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/processes", list)
            .named("list_processes", "Lists processes, newest first; by default only live ones")
            .query::<ListRequest>()
            .answers::<ProcessList>(200, "One page of processes"),
    ]
}

const PARAMETERS: &[&str] = &[
    "status", "all", "live", "project", "session", "name", "node", "key", "level", "agent_id", "parent",
    "tree", "type", "not_type", "prefix", "usage", "limit", "cursor",
];

/// `GET /v1/processes`: lists processes, newest first.
async fn list(State(api): State<Api>, query: QueryString) -> Result<JsonReply<ProcessList>, ErrorResponse> {
    Ok(JsonReply::ok(api.list(&read(&query)?).await?))
}

/// Reads the list filters from the query parameters.
pub(super) fn read(query: &QueryString) -> Result<ListRequest, ApiError> {
    query.only(PARAMETERS)?;
    let text = |name| query.text(name).map(str::to_owned);
    Ok(ListRequest {
        statuses: query.all("status").flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        all: query.truth("all")?,
        live: query.truth("live")?,
        project: text("project"),
        session: text("session"),
        name: text("name"),
        node: text("node"),
        key: text("key"),
        level: query.read("level")?,
        agent_id: text("agent_id"),
        parent: text("parent"),
        tree: text("tree"),
        kind: text("type"),
        not_type: text("not_type"),
        prefix: text("prefix"),
        usage: query.flag("usage")?,
        limit: query.read("limit")?,
        cursor: text("cursor"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_from_their_parameters() {
        let request =
            read(&QueryString::parse("status=failed,timeout&status=error&live=false&limit=7")).unwrap();
        assert_eq!(request.statuses, ["failed", "timeout", "error"]);
        assert_eq!((request.live, request.all, request.limit), (Some(false), None, Some(7)));
        assert!(read(&QueryString::parse("limit=x")).is_err());
        assert!(read(&QueryString::parse("all=perhaps")).is_err());
    }
}
