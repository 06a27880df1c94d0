//! Sessions.

use crate::body::Ask;
use crate::entry::Entry;
use crate::query::Query;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::routes::list;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_api::{Api, Fault};
use longhaul_wire::api::{EndSessionRequest, ListRequest, OutcomesReply, ProcessList, SessionListing};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::get("/v1/sessions", list_all)
            .named("list_sessions", "Lists the sessions that have processes")
            .answers::<SessionListing>(
                200,
                "Those with live processes, and those of the newest 1,000 processes",
            ),
        Entry::get("/v1/sessions/{id}", show)
            .named("show_session", "Lists the processes of a session, live and ended")
            .query::<ListRequest>()
            .but_for(&["session"])
            .answers::<ProcessList>(200, "One page of them"),
        Entry::post("/v1/sessions/{id}/end", end)
            .named(
                "end_session",
                "Ends a session: each of its processes does as it was launched to, or as told",
            )
            .takes::<EndSessionRequest>()
            .answers::<OutcomesReply>(200, "What came of it"),
    ]
}

/// `GET /v1/sessions`.
async fn list_all(State(api): State<Api>, query: Query) -> Result<Reply<SessionListing>, Refused> {
    query.only(&[])?;
    Ok(Reply::ok(api.sessions().await?))
}

/// `GET /v1/sessions/{id}`: the list of its processes, live and ended.
async fn show(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    query: Query,
) -> Result<Reply<ProcessList>, Refused> {
    Ok(Reply::ok(api.session(&session(id)?, &list::read(&query)?).await?))
}

/// `POST /v1/sessions/{id}/end`.
async fn end(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    Ask(request): Ask<EndSessionRequest>,
) -> Result<Reply<OutcomesReply>, Refused> {
    Ok(Reply::ok(api.end_session(&session(id)?, request).await?))
}

fn session(id: Result<Path<String>, PathRejection>) -> Result<String, Fault> {
    match id {
        Ok(Path(text)) => Ok(text),
        Err(error) => Err(Fault::invalid("session", error.body_text())),
    }
}
