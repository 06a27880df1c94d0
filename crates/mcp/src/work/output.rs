//! Reading and searching output, and writing input.

use crate::answer::{Object, Sent, object};
use crate::refusal::Refusal;
use crate::tool::input::{Read, Search, Send, Stream};
use crate::work::{Desk, millis, span};
use longhaul_api::Fault;
use longhaul_engine::{EngineError, InputRefusal};
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

impl Desk<'_> {
    /// Writes to the standard input of a process.
    pub(super) async fn send_input(self, asked: Send) -> Result<Object, Refusal> {
        if asked.text.is_empty() && !asked.close {
            return Err(Refusal::invalid("there is nothing to send").hint("give text, close, or both"));
        }
        let engine = &self.api.engine;
        let id = engine.find(&asked.process_id).await.map_err(Fault::from)?;
        let written = engine.write_input(id, asked.text.into_bytes(), asked.close).await;
        let written = written.map_err(|error| {
            let is_closed_to_all =
                matches!(error, EngineError::InputRefused { refusal: InputRefusal::NoPipe, .. });
            let refusal = Refusal::from(Fault::from(error));
            if is_closed_to_all { refusal.hint("start it with stdin: pipe") } else { refusal }
        })?;
        Ok(object(&Sent { process_id: id.to_string(), bytes: written.bytes, closed: written.closed }))
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
