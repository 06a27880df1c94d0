//! What becomes true, as it does.

use crate::entry::{Entry, Place};
use crate::query::Query;
use crate::refused::Refused;
use crate::stream::{Format, Line, streamed};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::StreamExt;
use longhaul_api::{Api, Fault, Told};
use longhaul_wire::event::EventsRequest;
use serde_json::json;

const MEDIA: &[&str] = &["text/event-stream", "application/x-ndjson"];

pub(crate) fn entries() -> Vec<Entry> {
    let text = || json!({ "type": "string", "minLength": 1 });
    let common = |entry: Entry| {
        entry
            .parameter(Place::Query, "after", "Only what comes after this cursor", text())
            .parameter(
                Place::Query,
                "follow",
                "Go on with what happens from now on",
                json!({ "type": "boolean" }),
            )
            .parameter(
                Place::Query,
                "format",
                "The same as the header Accept",
                json!({ "type": "string", "enum": ["sse", "ndjson"] }),
            )
            .parameter(Place::Header, "last-event-id", "The same as `after`, and goes before it", text())
    };
    vec![
        common(Entry::get("/v1/events", events))
            .named("stream_events", "Streams what becomes true, as CloudEvents")
            .parameter(Place::Query, "session", "Of this session only", text())
            .parameter(Place::Query, "process", "Of this process only", text())
            .parameter(
                Place::Query,
                "type",
                "Of these types only, such as PROCESS_FAILED",
                json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
            )
            .answers_raw(200, "Events; what is no longer kept is told as a gap. Of server-sent events, `caught_up` is no CloudEvent: its data is the cursor up to which all was told", MEDIA),
        common(Entry::get("/v1/sessions/{id}/notices", notices))
            .named(
                "stream_notices",
                "Streams the ends of a session's processes, those that come together as one",
            )
            .answers_raw(200, "Notices, of which the first says where the session stands", MEDIA),
    ]
}

/// `GET /v1/events`.
async fn events(State(api): State<Api>, query: Query, headers: HeaderMap) -> Result<Response, Refused> {
    query.only(&["after", "follow", "format", "session", "process", "type"])?;
    let format = Format::asked(&query, &headers)?;
    let text = |name| query.text(name).map(str::to_owned);
    let request = EventsRequest {
        after: after(&query, &headers)?,
        session: text("session"),
        process: text("process"),
        types: query.all("type").flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        follow: query.truth("follow")?.unwrap_or(format == Format::Sse),
    };
    let told = api.events(&request).await?.into_stream();
    Ok(streamed(format, told.map(line)))
}

/// `GET /v1/sessions/{id}/notices`.
async fn notices(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    query.only(&["after", "follow", "format"])?;
    let format = Format::asked(&query, &headers)?;
    let session = match id {
        Ok(Path(text)) => text,
        Err(error) => return Err(Fault::invalid("session", error.body_text()).into()),
    };
    let follow = query.truth("follow")?.unwrap_or(true);
    let notices = api.notices(&session, after(&query, &headers)?.as_deref(), follow).await?;
    let lines =
        notices.into_stream().map(|notice| Line::of("notice".to_owned(), notice.cursor.clone(), &notice));
    Ok(streamed(format, lines))
}

/// Where to go on: a client that was cut off says so by a header, and repeats its first address.
fn after(query: &Query, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(query.text("after").map(str::to_owned));
    };
    let text = value.to_str().map_err(|_| Fault::invalid("Last-Event-ID", "it is no plain text"))?;
    Ok(Some(text.to_owned()))
}

fn line(told: Told) -> Line {
    match told {
        Told::Event(telling) => Line::told(telling),
        Told::Gap(gap) => Line::of("gap".to_owned(), gap.cursor.clone(), &*gap),
        Told::CaughtUp { cursor } => {
            Line::of_sse_alone("caught_up".to_owned(), cursor.clone(), &json!({ "cursor": cursor }))
        }
    }
}
