//! Route that returns output as text, one page at a time.

use crate::api_handle::ApiHandle;
use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::Route;
use longhaul_api::ApiError;
use longhaul_wire::api::{OutputView, ReadRequest, StreamChoice};

const PARAMETERS: &[&str] =
    &["cursor", "to_cursor", "from_line", "tail_lines", "attempt", "stream", "max_tokens", "raw", "wait_ms"];

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/processes/{reference}/text", text)
            .named("read_output", "Returns a page of the output of a process, of the requested size")
            .query::<ReadRequest>()
            .answers::<OutputView>(200, "The page"),
    ]
}

async fn text(
    ApiHandle(api): ApiHandle,
    PathReference(reference): PathReference,
    query: QueryString,
) -> Result<JsonReply<OutputView>, ErrorResponse> {
    query.only(PARAMETERS)?;
    let request = ReadRequest {
        cursor: query.read("cursor")?,
        to_cursor: query.read("to_cursor")?,
        from_line: query.read("from_line")?,
        tail_lines: query.read("tail_lines")?,
        attempt: query.read("attempt")?,
        stream: stream(&query)?,
        max_tokens: query.read("max_tokens")?,
        raw: query.flag("raw")?,
        wait_ms: query.read("wait_ms")?,
    };
    Ok(JsonReply::ok(api.read_output(&reference, &request).await?))
}

/// Returns the output stream that the query selects.
pub(super) fn stream(query: &QueryString) -> Result<Option<StreamChoice>, ApiError> {
    match query.text("stream") {
        None => Ok(None),
        Some("both") => Ok(Some(StreamChoice::Both)),
        Some("stdout") => Ok(Some(StreamChoice::Stdout)),
        Some("stderr") => Ok(Some(StreamChoice::Stderr)),
        Some(word) => Err(ApiError::unreadable("stream", word, &"the value must be both, stdout or stderr")),
    }
}
