//! Routes that show one process, its tree, its resource usage, and the reason why it is waiting.

use crate::error_response::ErrorResponse;
use crate::precondition::is_known;
use crate::query::QueryString;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::{ParameterLocation, Route};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use longhaul_api::{Api, ApiError, DetailLevel};
use longhaul_domain::Status;
use longhaul_wire::api::{ProcessView, ProcessesReply, UsageReply, WhyView};
use serde_json::json;

pub(crate) fn entries() -> Vec<Route> {
    let with_usage = |entry: Route| {
        let about = "Also measure the resource usage of the process tree";
        entry.parameter(ParameterLocation::Query, "usage", about, json!({ "type": "boolean" }))
    };
    vec![
        with_usage(Route::get("/v1/processes/{reference}", show))
            .named("show_process", "Returns the complete record of a process")
            .parameter(
                ParameterLocation::Header,
                "if-none-match",
                "Known revisions: `*` or quoted tags",
                json!({ "type": "string", "pattern": r#"^(\*|"[0-9]{1,20}"(, *"[0-9]{1,20}")*)$"# }),
            )
            .answers::<ProcessView>(200, "The process")
            .with_header("etag", "Revision of the record, for `If-Match`; absent with `usage`")
            .answers_raw(304, "The process has ended, and the client knows its revision", &[])
            .with_header("etag", "Its revision"),
        with_usage(Route::get("/v1/processes/{reference}/tree", tree))
            .named("show_tree", "Lists a process and all its descendants, oldest first")
            .answers::<ProcessesReply>(200, "The processes"),
        Route::get("/v1/processes/{reference}/usage", usage)
            .named("show_usage", "Measures the resource usage of the tree of a process")
            .answers::<UsageReply>(200, "Resource usage"),
        Route::get("/v1/processes/{reference}/why", why)
            .named("explain_process", "Explains why a process waits")
            .answers::<WhyView>(200, "Reason for the wait"),
    ]
}

/// `GET /v1/processes/{ref}`: shows a process. With `?usage=true`, also shows the resource usage of its tree.
async fn show(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    query: QueryString,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    let depth = depth(&query, DetailLevel::Ports)?;
    let process = api.show(&reference, depth).await?;
    let revision = process.revision;
    match (depth, is_known(&headers, revision)? && is_final(&process)) {
        // A response with resource usage has no entity tag, because the usage changes without a new revision.
        (DetailLevel::Usage, _) => Ok(JsonReply::ok(process).into_response()),
        (DetailLevel::Records | DetailLevel::Ports, true) => Ok(JsonReply::unchanged(revision)),
        (DetailLevel::Records | DetailLevel::Ports, false) => {
            Ok(JsonReply::ok(process).tagged(revision).into_response())
        }
    }
}

/// Returns true if all displayed values of the process can change only with a new revision. For a live process, the
/// function returns false, because its progress, its conditions and facts outside of its record change without a new
/// revision.
fn is_final(process: &ProcessView) -> bool {
    let is_ended = process.status.parse().is_ok_and(Status::is_ended);
    is_ended && !process.cancelling_descendants && process.conditions.is_empty()
}

/// `GET /v1/processes/{ref}/tree`: lists a process and all its descendants, live and ended.
async fn tree(
    State(api): State<Api>,
    PathReference(reference): PathReference,
    query: QueryString,
) -> Result<JsonReply<ProcessesReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.tree(&reference, depth(&query, DetailLevel::Records)?).await?))
}

/// `GET /v1/processes/{ref}/usage`: shows the current resource usage of a process and its tree.
async fn usage(
    State(api): State<Api>,
    PathReference(reference): PathReference,
) -> Result<JsonReply<UsageReply>, ErrorResponse> {
    Ok(JsonReply::ok(api.usage(&reference).await?))
}

/// `GET /v1/processes/{ref}/why`: explains why a process is waiting.
async fn why(
    State(api): State<Api>,
    PathReference(reference): PathReference,
) -> Result<JsonReply<WhyView>, ErrorResponse> {
    Ok(JsonReply::ok(api.why(&reference).await?))
}

fn depth(query: &QueryString, default: DetailLevel) -> Result<DetailLevel, ApiError> {
    query.only(&["usage"])?;
    Ok(if query.flag("usage")? { DetailLevel::Usage } else { default })
}
