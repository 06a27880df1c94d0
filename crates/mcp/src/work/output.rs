//! Reading and searching output.

use crate::answer::{Object, object};
use crate::refusal::Refusal;
use crate::tool::input::{Read, Search, Stream};
use crate::work::{Desk, millis, span};
use longhaul_wire::api::{ReadRequest, SearchRequest, StreamChoice};

impl Desk<'_> {
    /// Reads a page.
    pub(super) async fn read_output(self, asked: Read) -> Result<Object, Refusal> {
        let wait = span("wait_seconds", asked.wait_seconds)?;
        let request = ReadRequest {
            stream: choice(asked.stream, asked.cursor.as_deref()),
            cursor: asked.cursor,
            to_cursor: asked.to_cursor,
            from_line: asked.from_line,
            tail_lines: asked.tail_lines,
            max_tokens: asked.max_tokens,
            raw: asked.raw,
            wait_ms: Some(millis(wait)).filter(|millis| *millis > 0),
            ..ReadRequest::default()
        };
        Ok(object(&self.api.read_output(&asked.process_id, &request).await?))
    }

    /// Finds lines.
    pub(super) async fn search_output(self, asked: Search) -> Result<Object, Refusal> {
        let request = SearchRequest {
            stream: choice(asked.stream, asked.from_cursor.as_deref()),
            pattern: asked.pattern,
            context: Some(asked.context),
            max_matches: asked.max_matches,
            ignore_case: asked.ignore_case,
            from_cursor: asked.from_cursor,
            ..SearchRequest::default()
        };
        Ok(object(&self.api.search_output(&asked.process_id, &request).await?))
    }
}

/// The stream that is asked for; a cursor knows its own, and both is what nobody has to say.
fn choice(stream: Stream, cursor: Option<&str>) -> Option<StreamChoice> {
    match stream {
        Stream::Both if cursor.is_some() => None,
        Stream::Both => Some(StreamChoice::Both),
        Stream::Stdout => Some(StreamChoice::Stdout),
        Stream::Stderr => Some(StreamChoice::Stderr),
    }
}
