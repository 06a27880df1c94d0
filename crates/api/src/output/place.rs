//! The position in the output that a request refers to.

use crate::error::ApiError;
use longhaul_domain::{AttemptNo, Status};
use longhaul_engine::ports::StoredProcess;
use longhaul_view::{OutputCursor, StreamSelection};
use longhaul_wire::api::{ReadRequest, SearchRequest, StreamChoice};

/// Start and end of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadPosition {
    /// Cursor with the attempt and the stream. Reads without an explicit position start at this cursor.
    pub(super) cursor: OutputCursor,
    pub(super) begin: ReadStart,
    /// Offset at which the read stops. `None` means that the read stops at the end of the output.
    pub(super) to: Option<u64>,
    /// True if the requested output was removed, so that the read starts in a later attempt.
    pub(super) expired: bool,
}

/// Start position of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadStart {
    Cursor(OutputCursor),
    /// The start of the line with this number.
    Line(u64),
    /// The start of the last lines. The value is the number of these lines.
    LastLines(u32),
    /// The head and the tail of the output.
    Ends,
}

/// Cursor, attempt and stream that a request names.
#[derive(Clone, Copy, Debug)]
struct ReadQuery<'r> {
    cursor: Option<&'r str>,
    attempt: Option<u32>,
    stream: Option<StreamChoice>,
}

impl ReadPosition {
    pub(super) fn of_read(stored: &StoredProcess, request: &ReadRequest) -> Result<Self, ApiError> {
        let given = [request.cursor.is_some(), request.from_line.is_some(), request.tail_lines.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(ApiError::invalid(
                "place",
                "more than one of cursor, from_line and tail_lines is given",
            ));
        }
        let said =
            ReadQuery { cursor: request.cursor.as_deref(), attempt: request.attempt, stream: request.stream };
        let cursor = said.cursor(stored)?;
        let begin = match (said.cursor, request.from_line, request.tail_lines) {
            (Some(_), _, _) => ReadStart::Cursor(cursor),
            (None, Some(0), _) => return Err(ApiError::invalid("from_line", "line numbers start at 1")),
            (None, Some(line), _) => ReadStart::Line(line),
            (None, None, Some(lines)) => ReadStart::LastLines(lines),
            (None, None, None) => ReadStart::Ends,
        };
        let to =
            request.to_cursor.as_deref().map(|text| read_cursor("to_cursor", text, stored)).transpose()?;
        if let Some(to) = to
            && (to.attempt, to.choice) != (cursor.attempt, cursor.choice)
        {
            return Err(ApiError::invalid("to_cursor", "the cursor belongs to another attempt or stream"));
        }
        Ok(Self { cursor, begin, to: to.map(|to| to.offset), expired: false })
    }

    pub(super) fn of_search(stored: &StoredProcess, request: &SearchRequest) -> Result<Self, ApiError> {
        let said = ReadQuery {
            cursor: request.from_cursor.as_deref(),
            attempt: request.attempt,
            stream: request.stream,
        };
        let cursor = said.cursor(stored)?;
        Ok(Self { cursor, begin: ReadStart::Cursor(cursor), to: None, expired: false })
    }
}

impl ReadQuery<'_> {
    fn cursor(self, stored: &StoredProcess) -> Result<OutputCursor, ApiError> {
        let process = &stored.process;
        if process.spec.command().is_none() {
            return Err(ApiError::new(409, "unsupported", "reported work has no output")
                .because("longhaul does not execute this work")
                .help("`longhaul status` shows its progress and stage"));
        }
        let latest = process.attempt;
        if self.attempt.is_some_and(|asked| asked > latest.0 || asked == 0) {
            return Err(ApiError::invalid("attempt", format!("the latest attempt is {latest}")));
        }
        let choice = self.stream.map(choice);
        let Some(text) = self.cursor else {
            let attempt = self.attempt.map_or(latest, AttemptNo);
            return Ok(OutputCursor::new(process.id, attempt, choice.unwrap_or(StreamSelection::Both)));
        };
        let mut cursor = read_cursor("cursor", text, stored)?;
        if cursor.attempt.0 == 0 && latest.0 > 0 {
            // The cursor was issued before the first attempt started.
            cursor.attempt = AttemptNo(1);
        }
        let is_other = self.attempt.is_some_and(|asked| asked != cursor.attempt.0)
            || choice.is_some_and(|choice| choice != cursor.choice);
        if is_other {
            return Err(ApiError::invalid("cursor", "the cursor belongs to another attempt or stream")
                .help("omit attempt and stream: the cursor contains them"));
        }
        Ok(cursor)
    }
}

/// Returns true if no more output will be written for an attempt. This is the case if the process has ended, is waiting
/// for its next attempt, or has a newer attempt.
pub(crate) fn is_over(stored: &StoredProcess, attempt: AttemptNo) -> bool {
    let process = &stored.process;
    let waits = attempt.0 > 0 && process.attempt == attempt && process.status() == Status::Pending;
    waits || process.attempt > attempt || process.status().is_ended()
}

fn read_cursor(what: &str, text: &str, stored: &StoredProcess) -> Result<OutputCursor, ApiError> {
    let malformed = |why: String| {
        ApiError::new(400, "cursor_invalid", format!("invalid {what}"))
            .because(why)
            .help("pass the cursor of an earlier reply unchanged, or no cursor to start again")
    };
    let cursor =
        OutputCursor::parse(text, stored.process.id).map_err(|error| malformed(error.to_string()))?;
    if cursor.attempt > stored.process.attempt {
        return Err(malformed(format!("the latest attempt is {}", stored.process.attempt)));
    }
    Ok(cursor)
}

const fn choice(stream: StreamChoice) -> StreamSelection {
    match stream {
        StreamChoice::Both => StreamSelection::Both,
        StreamChoice::Stdout => StreamSelection::Stdout,
        StreamChoice::Stderr => StreamSelection::Stderr,
    }
}
