//! The tools that read and search output and that send input.

use crate::answer::{JsonObject, SendAnswer, object};
use crate::calls::{ToolContext, millis, span};
use crate::error::ToolError;
use crate::tool::input::{ReadInput, SearchInput, SendInput, StreamInput};
use longhaul_wire::api::{InputRequest, ReadRequest, SearchRequest, StreamChoice};

/// Default size of a result in tokens. `MIN_TOKENS` is the minimum size.
const DEFAULT_TOKENS: u32 = 1_500;
const MIN_TOKENS: u32 = 150;
/// Number of bytes per token, as clients estimate it. `ENVELOPE_BYTES` is the number of additional bytes that a result
/// may have for its cursors.
const TOKEN: usize = 4;
const ENVELOPE_BYTES: usize = 160;
/// Maximum size in bytes of a result with the minimum number of tokens. Every error fits into this size.
pub(crate) const MIN_BYTES: usize = MIN_TOKENS as usize * TOKEN + ENVELOPE_BYTES;
/// Number of tokens that are reserved for the fields of a result other than the text.
const ENVELOPE: u32 = 36;
/// Minimum number of tokens for the text of a result.
const MIN_GRANTED: u32 = 100;

impl ToolContext<'_> {
    /// Reads one page of output.
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

    /// Searches the output for a pattern.
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

/// Size limit of a result, and the number of tokens that its text may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResultBudget {
    pub(super) bytes: usize,
    pub(super) granted: u32,
}

impl ResultBudget {
    pub(super) fn of(tokens: Option<u32>) -> Self {
        let tokens = tokens.unwrap_or(DEFAULT_TOKENS);
        let bytes = usize::try_from(tokens).unwrap_or(0) * TOKEN + ENVELOPE_BYTES;
        Self { bytes, granted: tokens.saturating_sub(ENVELOPE) }
    }

    /// Returns true if the result is within the size limit, or if `granted` is already at its minimum. In all other
    /// cases, reduces `granted` for the next try and returns false.
    pub(super) fn has_room_for(&mut self, answer: &JsonObject) -> bool {
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
            return Err(
                ToolError::invalid("there is nothing to send").hint("give text, close: true, or both")
            );
        }
        let request = InputRequest { text: Some(asked.text), close: asked.close, ..InputRequest::default() };
        let id = self.find(&asked.process_id).await?;
        let written = self.api.write_input(&id, request, None).await.map_err(|fault| {
            let is_closed_to_all = fault.problem().slug == "unsupported";
            let refusal = ToolError::from(fault);
            if is_closed_to_all {
                refusal.hint("restart the work with start_background_process and stdin: pipe")
            } else {
                refusal
            }
        })?;
        let bytes = usize::try_from(written.bytes).unwrap_or(usize::MAX);
        Ok(object(&SendAnswer { process_id: written.id, bytes, closed: written.closed }))
    }
}

/// Converts the requested stream. Returns `None` if the cursor already determines the stream.
fn choice(stream: StreamInput, cursor: Option<&str>) -> Option<StreamChoice> {
    match stream {
        StreamInput::Both if cursor.is_some() => None,
        StreamInput::Both => Some(StreamChoice::Both),
        StreamInput::Stdout => Some(StreamChoice::Stdout),
        StreamInput::Stderr => Some(StreamChoice::Stderr),
    }
}
