//! Streaming responses: server-sent events or lines of JSON.

use crate::query::QueryString;
use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use longhaul_api::{ApiError, SerializedEvent};
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;

/// Time without an item after which a server-sent comment is sent to keep the connection alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// First field of each event stream. It makes a client that loses its connection wait for 1000 ms before it reconnects.
const RECONNECT_FIELD: &[u8] = b"retry: 1000\n\n";
const COMMENT: &[u8] = b":\n\n";

/// Format of a streaming response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamFormat {
    Sse,
    /// Lines of JSON: one line for each item.
    Ndjson,
}

impl StreamFormat {
    /// Returns the format that `?format=` or `Accept` requests. The default is lines of JSON.
    pub(crate) fn asked(query: &QueryString, headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Self::requested(query, headers)?.unwrap_or(Self::Ndjson))
    }

    /// Returns the format that `?format=` or `Accept` requests. Returns `None` if they request neither format.
    pub(crate) fn requested(query: &QueryString, headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        match query.text("format") {
            Some("sse") => return Ok(Some(Self::Sse)),
            Some("ndjson") => return Ok(Some(Self::Ndjson)),
            Some(word) => {
                return Err(ApiError::unreadable("format", word, &"the value must be sse or ndjson"));
            }
            None => {}
        }
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut kinds = accepted.flat_map(|list| list.split(',')).filter_map(|one| one.split(';').next());
        Ok(kinds.find_map(|kind| {
            let formats = [Self::Sse, Self::Ndjson];
            formats.into_iter().find(|format| kind.trim().eq_ignore_ascii_case(format.media_type()))
        }))
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// Item of a streaming response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamItem(StreamContent);

#[derive(Clone, Debug, PartialEq)]
enum StreamContent {
    /// Event, which is serialized only once for all clients that receive it.
    Shared(SerializedEvent),
    Own {
        event: String,
        /// Cursor after which a client continues when it has received this item.
        id: String,
        /// Content of the item as JSON on one line.
        json: String,
        /// True if the item is left out when the format is lines of JSON.
        is_sse_alone: bool,
    },
}

impl StreamItem {
    pub(crate) fn of<T: Serialize>(event: String, id: String, value: &T) -> Self {
        Self(StreamContent::Own { event, id, json: json(value), is_sse_alone: false })
    }

    /// Creates an item that is sent only in the format of server-sent events.
    pub(crate) fn of_sse_alone<T: Serialize>(event: String, id: String, value: &T) -> Self {
        Self(StreamContent::Own { event, id, json: json(value), is_sse_alone: true })
    }

    pub(crate) const fn told(telling: SerializedEvent) -> Self {
        Self(StreamContent::Shared(telling))
    }

    fn written(&self, format: StreamFormat) -> Option<Bytes> {
        match (&self.0, format) {
            (StreamContent::Shared(telling), StreamFormat::Sse) => {
                let text = telling.as_event(|told| server_sent(&told.event, &told.cursor, &json(told)));
                Some(Bytes::from_owner(text))
            }
            (StreamContent::Shared(telling), StreamFormat::Ndjson) => {
                Some(Bytes::from_owner(telling.as_line(|told| line(&json(told)))))
            }
            (StreamContent::Own { event, id, json, .. }, StreamFormat::Sse) => {
                Some(server_sent(event, id, json).into())
            }
            (StreamContent::Own { json, is_sse_alone, .. }, StreamFormat::Ndjson) => {
                (!is_sse_alone).then(|| line(json).into())
            }
        }
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

fn server_sent(event: &str, id: &str, json: &str) -> String {
    format!("id: {id}\nevent: {event}\ndata: {json}\n\n")
}

fn line(json: &str) -> String {
    format!("{json}\n")
}

/// Builds a response that continues until `lines` ends. Each item is read only when the client is ready to receive it.
pub(crate) fn streamed(
    format: StreamFormat,
    lines: impl Stream<Item = StreamItem> + Send + 'static,
) -> Response {
    let begin = match format {
        StreamFormat::Sse => Some(Bytes::from_static(RECONNECT_FIELD)),
        StreamFormat::Ndjson => None,
    };
    let pieces = stream::unfold(Box::pin(lines), move |mut lines| async move {
        loop {
            match tokio::time::timeout(KEEPALIVE_INTERVAL, lines.next()).await {
                Ok(Some(line)) => match line.written(format) {
                    Some(piece) => return Some((piece, lines)),
                    None => continue,
                },
                Ok(None) => return None,
                Err(_) if format == StreamFormat::Sse => return Some((Bytes::from_static(COMMENT), lines)),
                Err(_) => {}
            }
        }
    });
    let pieces = stream::iter(begin).chain(pieces).map(Ok::<_, Infallible>);
    let head = [
        (CONTENT_TYPE, format.media_type()),
        (CACHE_CONTROL, "no-store"),
        // This header prevents proxies from buffering the response: a proxy that waits for the end of the response
        // would never deliver a stream.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, Body::from_stream(pieces)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use http_body_util::BodyExt;
    use serde_json::json;

    #[test]
    fn format_is_asked_for_by_query_or_header() {
        let asked = |query: &str, accept: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
            StreamFormat::asked(&QueryString::parse(query), &headers)
        };
        assert_eq!(asked("", "text/event-stream").unwrap(), StreamFormat::Sse);
        assert_eq!(asked("", "application/json, Text/Event-Stream;q=0.5").unwrap(), StreamFormat::Sse);
        assert_eq!(asked("", "*/*").unwrap(), StreamFormat::Ndjson);
        assert_eq!(asked("format=ndjson", "text/event-stream").unwrap(), StreamFormat::Ndjson);
        assert!(asked("format=xml", "*/*").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn only_event_streams_get_comments_during_silence() {
        let one = StreamItem::of("notice".to_owned(), "c7".to_owned(), &json!({ "a": "b\nc" }));
        let slow = move || {
            let one = one.clone();
            stream::once(async move {
                tokio::time::sleep(KEEPALIVE_INTERVAL + KEEPALIVE_INTERVAL / 2).await;
                one
            })
        };
        assert_eq!(
            text(streamed(StreamFormat::Sse, slow())).await,
            "retry: 1000\n\n:\n\nid: c7\nevent: notice\ndata: {\"a\":\"b\\nc\"}\n\n"
        );
        assert_eq!(text(streamed(StreamFormat::Ndjson, slow())).await, "{\"a\":\"b\\nc\"}\n");
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }
}
