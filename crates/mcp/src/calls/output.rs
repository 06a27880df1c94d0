//! Reading and searching output, and writing input.

use crate::answer::{JsonObject, SendAnswer, object};
use crate::calls::{ToolContext, millis, span};
use crate::error::ToolError;
use crate::tool::input::{ReadInput, SearchInput, SendInput, StreamInput};
use longhaul_wire::api::{InputRequest, ReadRequest, SearchRequest, StreamChoice};

/// Tokens of a result: the usual number and the fewest.
const DEFAULT_TOKENS: u32 = 1_500;
const MIN_TOKENS: u32 = 150;
/// Bytes of a token, as clients estimate it, and those that a result may have beyond its tokens, for the cursors in it.
const TOKEN: usize = 4;
const ENVELOPE_BYTES: usize = 160;
/// What a result of the fewest tokens may have, in bytes; any error fits into that.
pub(crate) const MIN_BYTES: usize = MIN_TOKENS as usize * TOKEN + ENVELOPE_BYTES;
/// What a result costs besides what is in it.
const ENVELOPE: u32 = 36;
/// The fewest tokens that are granted to what is in a result.
const MIN_GRANTED: u32 = 100;

impl ToolContext<'_> {
    /// Reads a page.
    pub(super) async fn read_output(self, asked: ReadInput) -> Result<JsonObject, ToolError> {
        let wait = span(asked.wait_seconds);
        let mut share = ResultBudget::of(asked.max_tokens);
        let id = self.find(&asked.process_id).await?;
        let mut request = ReadRequest {
            stream: choice(asked.stream, asked.cursor.as_deref()),
            cursor: asked.cursor,
            to_cursor: asked.to_cursor,
            from_line: asked.from_line,
            tail_lines: asked.tail_lines,
            raw: asked.raw,
            wait_ms: Some(millis(wait)).filter(|millis| *millis > 0),
            ..ReadRequest::default()
        };
        loop {
            request.max_tokens = Some(share.granted);
            let view = self.api.read_output(&id, &request).await?;
            let answer = object(&view);
            if share.has_room_for(&answer) {
                return Ok(answer);
            }
        }
    }

    /// Finds lines.
    pub(super) async fn search_output(self, asked: SearchInput) -> Result<JsonObject, ToolError> {
        let mut share = ResultBudget::of(None);
        let id = self.find(&asked.process_id).await?;
        let mut request = SearchRequest {
            stream: choice(asked.stream, asked.from_cursor.as_deref()),
            pattern: asked.pattern,
            context: Some(asked.context),
            max_matches: asked.max_matches,
            ignore_case: asked.ignore_case,
            from_cursor: asked.from_cursor,
            ..SearchRequest::default()
        };
        loop {
            request.max_tokens = Some(share.granted);
            let view = self.api.search_output(&id, &request).await?;
            let answer = object(&view);
            if share.has_room_for(&answer) {
                return Ok(answer);
            }
        }
    }
}

/// What a result may cost, and the part of it that is granted to what is in it.
#[derive(Clone, Copy, Debug)]
struct ResultBudget {
    bytes: usize,
    granted: u32,
}

impl ResultBudget {
    fn of(tokens: Option<u32>) -> Self {
        let tokens = tokens.unwrap_or(DEFAULT_TOKENS);
        let bytes = usize::try_from(tokens).unwrap_or(0) * TOKEN + ENVELOPE_BYTES;
        Self { bytes, granted: tokens.saturating_sub(ENVELOPE) }
    }

    /// Whether an answer costs no more as JSON; else less is granted, as long as there is less.
    fn has_room_for(&mut self, answer: &JsonObject) -> bool {
        let length = serde_json::to_vec(answer).map_or(0, |json| json.len());
        if length <= self.bytes || self.granted <= MIN_GRANTED {
            return true;
        }
        let fitting = u64::from(self.granted) * wide(self.bytes) / wide(length);
        let fitting = u32::try_from(fitting).unwrap_or(MIN_GRANTED);
        self.granted = fitting.min(self.granted - 1).max(MIN_GRANTED);
        false
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl ToolContext<'_> {
    /// Writes to the standard input of a process.
    pub(super) async fn send_input(self, asked: SendInput) -> Result<JsonObject, ToolError> {
        if asked.text.is_empty() && !asked.close {
            return Err(ToolError::invalid("there is nothing to send").hint("give text, close, or both"));
        }
        let request = InputRequest { text: Some(asked.text), close: asked.close, ..InputRequest::default() };
        let id = self.find(&asked.process_id).await?;
        let written = self.api.write_input(&id, request, None).await.map_err(|fault| {
            let is_closed_to_all = fault.problem().slug == "unsupported";
            let refusal = ToolError::from(fault);
            if is_closed_to_all { refusal.hint("start it with stdin: pipe") } else { refusal }
        })?;
        let bytes = usize::try_from(written.bytes).unwrap_or(usize::MAX);
        Ok(object(&SendAnswer { process_id: written.id, bytes, closed: written.closed }))
    }
}

/// The stream that is asked for; a cursor knows its own, and both is what nobody has to say.
fn choice(stream: StreamInput, cursor: Option<&str>) -> Option<StreamChoice> {
    match stream {
        StreamInput::Both if cursor.is_some() => None,
        StreamInput::Both => Some(StreamChoice::Both),
        StreamInput::Stdout => Some(StreamChoice::Stdout),
        StreamInput::Stderr => Some(StreamChoice::Stderr),
    }
}
