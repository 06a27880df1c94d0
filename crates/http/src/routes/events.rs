//! Routes that stream events, or the completions of a session.

use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::route::{ParameterLocation, Route};
use crate::stream::{StreamFormat, StreamItem, streamed};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::StreamExt;
use longhaul_api::{Api, ApiError, EventItem};
use longhaul_wire::event::EventsRequest;
use serde_json::json;

const MEDIA: &[&str] = &["text/event-stream", "application/x-ndjson"];

pub(crate) fn entries() -> Vec<Route> {
    let text = || json!({ "type": "string", "minLength": 1 });
    let common = |entry: Route| {
        entry
            .parameter(ParameterLocation::Query, "after", "Only events after this cursor", text())
            .parameter(
                ParameterLocation::Query,
                "follow",
                "Continue with new events as they happen",
                json!({ "type": "boolean" }),
            )
            .parameter(
                ParameterLocation::Query,
                "format",
                "Same as the header Accept",
                json!({ "type": "string", "enum": ["sse", "ndjson"] }),
            )
            .parameter(
                ParameterLocation::Header,
                "last-event-id",
                "Same as `after`, and takes precedence over it",
                text(),
            )
    };
    vec![
        common(Route::get("/v1/events", events))
            .named("stream_events", "Streams events as CloudEvents")
            .parameter(ParameterLocation::Query, "session", "Only events of this session", text())
            .parameter(ParameterLocation::Query, "process", "Only events of this process", text())
            .parameter(
                ParameterLocation::Query,
                "type",
                "Only events of these types, such as PROCESS_FAILED",
                json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
            )
            .answers_raw(200, "Events; a gap marks events that are no longer stored. Among server-sent events, \
                               `caught_up` is not a CloudEvent: its data is the cursor up to which all events were \
                               sent", MEDIA),
        common(Route::get("/v1/sessions/{id}/completions", notices))
            .named(
                "stream_notices",
                "Streams the ends of the processes of a session; ends close together form one notice",
            )
            .answers_raw(200, "Notices; the first one gives the present state of the session", MEDIA),
    ]
}

/// `GET /v1/events`: streams events as CloudEvents.
async fn events(
    State(api): State<Api>,
    query: QueryString,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    query.only(&["after", "follow", "format", "session", "process", "type"])?;
    let format = StreamFormat::asked(&query, &headers)?;
    let text = |name| query.text(name).map(str::to_owned);
    let request = EventsRequest {
        after: after(&query, &headers)?,
        session: text("session"),
        process: text("process"),
        types: query.all("type").flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        follow: query.truth("follow")?.unwrap_or(format == StreamFormat::Sse),
    };
    let told = api.events(&request).await?.into_stream();
    Ok(streamed(format, told.map(line)))
}

/// `GET /v1/sessions/{id}/completions`: streams the completions of a session.
async fn notices(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    query: QueryString,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    query.only(&["after", "follow", "format"])?;
    let format = StreamFormat::asked(&query, &headers)?;
    let session = match id {
        Ok(Path(text)) => text,
        Err(error) => return Err(ApiError::invalid("session", error.body_text()).into()),
    };
    let follow = query.truth("follow")?.unwrap_or(true);
    let notices = api.notices(&session, after(&query, &headers)?.as_deref(), follow).await?;
    let lines = notices
        .into_stream()
        .map(|notice| StreamItem::of("notice".to_owned(), notice.cursor.clone(), &notice));
    Ok(streamed(format, lines))
}

/// Returns the cursor after which the stream continues. The header `Last-Event-ID` takes precedence over the parameter
/// `after`, because a reconnecting client repeats its first URL and adds the header.
fn after(query: &QueryString, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(query.text("after").map(str::to_owned));
    };
    let text =
        value.to_str().map_err(|_| ApiError::invalid("Last-Event-ID", "the header is not plain text"))?;
    Ok(Some(text.to_owned()))
}

fn line(told: EventItem) -> StreamItem {
    match told {
        EventItem::Event(telling) => StreamItem::told(telling),
        EventItem::Gap(gap) => StreamItem::of("gap".to_owned(), gap.cursor.clone(), &*gap),
        EventItem::CaughtUp { cursor } => {
            StreamItem::of_sse_alone("caught_up".to_owned(), cursor.clone(), &json!({ "cursor": cursor }))
        }
    }
}
