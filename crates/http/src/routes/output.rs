//! Route that streams output as frames: either the current output, or also new output as it is written.

use crate::api_handle::ApiHandle;
use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reference::PathReference;
use crate::route::{ParameterLocation, Route};
use crate::stream::{StreamFormat, streamed};
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use frames::FrameBatch;
use futures_util::stream;
use longhaul_api::{Api, ApiError, ReadFrom, RemoteOutput, moment, output_is_gone};
use longhaul_domain::{AttemptNo, ProcessId, State, Timestamp};
use longhaul_engine::ports::{
    AttemptKey, Loss, OutputError, OutputPage, OutputRead, OutputSource, StoredProcess,
};
use longhaul_engine::{EngineError, FollowProgress, WaitCondition, WaitMode};
use longhaul_wire::output::{FrameKind, MEDIA_TYPE, NOTES_HEADER};
use serde_json::json;
use std::collections::BTreeMap;

mod frames;
mod text_items;

/// Maximum number of output bytes in one read. A slow reader occupies this amount of memory.
const PIECE: u32 = 128 * 1024;
/// Formats of the response: frames, or text.
const MEDIA: &[&str] = &[MEDIA_TYPE, "text/event-stream", "application/x-ndjson"];
const PARAMETERS: &[&str] = &["from", "lines", "since", "since_ms", "stream", "attempt", "follow", "format"];

/// Description of the frame format for authors of clients.
const ABOUT: &str = "Frames, ending with an end frame. A frame is a header of 25 bytes and its data. Header: kind \
                     (1 byte: 1 stdout, 2 stderr, 3 gap, 4 end, 5 note), offset (u64), steady time in milliseconds \
                     (i64), length of the data (u32), 4 zero bytes; numbers are little-endian. With \
                     `format`, each item has the fields `event` (stdout, stderr, gap, note, end), `next` (the offset \
                     at which the output continues) and `text`";

pub(crate) fn entries() -> Vec<Route> {
    let whole = |limit: u64| json!({ "type": "integer", "minimum": 0, "maximum": limit });
    vec![
        Route::get("/v1/processes/{reference}/output", output)
            .named("stream_output", "Returns the output of a process as frames, once or continuously")
            .parameter(ParameterLocation::Query, "from", "Start at this offset", whole(u64::MAX))
            .parameter(
                ParameterLocation::Query,
                "lines",
                "Start this number of lines before the end",
                whole(u32::MAX.into()),
            )
            .parameter(
                ParameterLocation::Query,
                "since",
                "Start at this time: RFC 3339, or an age such as 30s or 10m",
                json!({ "type": "string", "pattern": "^[0-9]{1,15}(ms|s|m|h|d)?$" }),
            )
            .parameter(
                ParameterLocation::Query,
                "since_ms",
                "Start at this time, in milliseconds since 1970",
                json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
            )
            .parameter(
                ParameterLocation::Query,
                "stream",
                "Only stdout or only stderr",
                json!({ "type": "string", "enum": ["stdout", "stderr"] }),
            )
            .parameter(
                ParameterLocation::Query,
                "attempt",
                "Output of this attempt; default: the latest attempt",
                json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
            )
            .parameter(
                ParameterLocation::Query,
                "follow",
                "Continue with new output as it is written",
                json!({ "type": "boolean" }),
            )
            .parameter(
                ParameterLocation::Query,
                "format",
                "Text instead of frames: server-sent events or lines of JSON; same as the header Accept",
                json!({ "type": "string", "enum": ["sse", "ndjson"] }),
            )
            .parameter(
                ParameterLocation::Header,
                "last-event-id",
                "Same as `from`, and takes precedence over it",
                json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            )
            .answers_raw(200, ABOUT, MEDIA),
    ]
}

/// `GET /v1/processes/{ref}/output`: streams the output as frames. The last frame is an end frame.
///
/// Output is read only when the client is ready for more frames. A slow client therefore occupies the memory of only
/// one page and does not delay other clients.
async fn output(
    ApiHandle(api): ApiHandle,
    PathReference(reference): PathReference,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Response, ErrorResponse> {
    query.only(PARAMETERS)?;
    let format = StreamFormat::requested(&query, &headers)?;
    let id = api.engine.find(&reference).await?;
    let stored = api.engine.process(id).await?;
    if stored.process.spec.command().is_none() {
        return Err(ApiError::new(409, "unsupported", "reported work has no output")
            .because("longhaul does not execute this work")
            .help("`longhaul status` shows its progress and stage")
            .into());
    }
    let mut reader = PageStream::new(api, &stored, &query)?;
    reader.wants_notes = format.is_some() || headers.contains_key(NOTES_HEADER);
    let begin = reader.begin(&query, &headers)?;
    let is_there = reader.open_remote(&stored, begin).await?;
    if !is_there {
        reader.position = reader.offset(begin).await?;
        reader.begin = reader.position;
    }
    let first = if is_there { None } else { reader.first().await? };
    if !is_there
        && first.is_none()
        && reader.key().attempt == stored.process.attempt
        && output_is_gone(&reader.api.engine, &stored).await
    {
        let id = stored.process.id;
        return Err(ApiError::new(
            410,
            "output_removed",
            format!("the output of {} was deleted", id.short()),
        )
        .because("the output was deleted to free space (`output.total`), or by another program")
        .help(format!("`longhaul status {}` shows how the process ended", id.short()))
        .into());
    }
    let pieces = stream::try_unfold((reader, first), |(mut reader, ready)| async move {
        let piece = match ready {
            Some(piece) => Some(piece),
            None => reader.next().await.inspect_err(
                |error| tracing::warn!(id = %reader.id, %error, "could not continue an output stream"),
            )?,
        };
        Ok::<_, ApiError>(piece.map(|piece| (piece, (reader, None))))
    });
    if let Some(format) = format {
        return Ok(streamed(format, text_items::items(pieces)));
    }
    let head = [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(pieces)).into_response())
}

/// Reader that returns the output of a process page by page.
#[derive(Debug)]
struct PageStream {
    api: Api,
    id: ProcessId,
    attempt: AttemptNo,
    /// True if the client chose the attempt. Later attempts are then not followed.
    fixed: bool,
    follow: bool,
    only: Option<OutputSource>,
    /// Offset of the first byte that was requested.
    begin: u64,
    position: u64,
    /// Reader of the output if the output is stored on another node.
    there: Option<RemoteOutput>,
    wants_notes: bool,
    /// Lost output that has already been reported to the client: number of lost bytes by offset.
    told: BTreeMap<u64, u64>,
    ended: bool,
}

impl PageStream {
    fn new(api: Api, stored: &StoredProcess, query: &QueryString) -> Result<Self, ApiError> {
        let latest = stored.process.attempt;
        let asked = query.read::<u32>("attempt")?.map(AttemptNo);
        if asked.is_some_and(|asked| asked > latest || asked.0 == 0) {
            return Err(ApiError::invalid("attempt", format!("the latest attempt is {latest}")));
        }
        let only = match query.text("stream") {
            None => None,
            Some("stdout") => Some(OutputSource::Stdout),
            Some("stderr") => Some(OutputSource::Stderr),
            Some(word) => {
                return Err(ApiError::unreadable("stream", word, &"the value is neither stdout nor stderr"));
            }
        };
        Ok(Self {
            api,
            id: stored.process.id,
            attempt: asked.unwrap_or(latest),
            fixed: asked.is_some(),
            follow: query.flag("follow")?,
            only,
            begin: 0,
            position: 0,
            there: None,
            wants_notes: false,
            told: BTreeMap::new(),
            ended: false,
        })
    }

    const fn key(&self) -> AttemptKey {
        AttemptKey { id: self.id, attempt: self.attempt }
    }

    /// Returns the start position from the query: an offset, a number of lines before the end, or a time.
    ///
    /// The header `Last-Event-ID` takes precedence, because a reconnecting client repeats its first URL and adds the
    /// header.
    fn begin(&self, query: &QueryString, headers: &HeaderMap) -> Result<ReadFrom, ApiError> {
        let last = headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty());
        if let Some(text) = last {
            let not_offset =
                |_| ApiError::invalid("Last-Event-ID", "the header is not an offset of the output");
            return text.parse().map(ReadFrom::From).map_err(not_offset);
        }
        Ok(if let Some(from) = query.read::<u64>("from")? {
            ReadFrom::From(from)
        } else if let Some(lines) = query.read::<u32>("lines")? {
            ReadFrom::LastLines(lines)
        } else if let Some(since) = since(query, self.api.engine.now())? {
            ReadFrom::Since(since)
        } else {
            ReadFrom::From(0)
        })
    }

    /// Converts the start position to an offset in output that is stored on this node.
    async fn offset(&self, begin: ReadFrom) -> Result<u64, ApiError> {
        let engine = &self.api.engine;
        let found = match begin {
            ReadFrom::From(from) => return Ok(from),
            ReadFrom::LastLines(lines) => engine.output_tail(self.key(), lines, self.only).await,
            ReadFrom::Since(since) => engine.output_since(self.key(), since).await,
        };
        match found {
            Err(error) if is_missing(&error) => Ok(0),
            other => Ok(other?),
        }
    }

    /// Opens the output on another node if that node stores it. Returns false if this node stores the output.
    async fn open_remote(&mut self, stored: &StoredProcess, begin: ReadFrom) -> Result<bool, ApiError> {
        let found = self.api.following(stored, self.attempt, self.only, self.follow, begin).await;
        let Some(mut there) = found else { return Ok(false) };
        there.open().await?;
        self.there = Some(there);
        Ok(true)
    }

    /// Reads the first page. It is read before the response starts, so that a damaged log causes an error response and
    /// not a broken stream.
    async fn first(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.attempt == AttemptNo(0) {
            return Ok(None);
        }
        self.piece().await
    }

    /// Returns the next part of the stream. After all output, returns an end frame, and then `None`.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        while !self.ended {
            if self.there.is_some() {
                if let Some(piece) = self.piece_there().await? {
                    return Ok(Some(piece));
                }
                self.there = None;
            }
            if let Some(piece) = self.piece().await? {
                return Ok(Some(piece));
            }
            if self.follow && self.may_continue().await? {
                continue;
            }
            self.ended = true;
            let loss = if self.wants_notes { self.loss().await? } else { None };
            return Ok(Some(FrameBatch::end(self.position, loss)));
        }
        Ok(None)
    }

    /// Returns a note about lost output that has not been reported at its offset. Returns `None` if there is none.
    async fn loss(&self) -> Result<Option<String>, ApiError> {
        let stored = self.api.engine.process(self.id).await?;
        let process = &stored.process;
        let lost = if let State::Ended(ended) = &process.state
            && let Some(exit) = ended.ending.exit().filter(|_| process.attempt == self.attempt)
        {
            exit.dropped_bytes
        } else {
            self.losses().await?.iter().map(|loss| loss.bytes).fold(0, u64::saturating_add)
        };
        let lost = lost.saturating_sub(self.told.values().copied().fold(0, u64::saturating_add));
        Ok((lost > 0).then(|| format!("{lost} bytes of the output could not be stored and are lost")))
    }

    /// Returns the next output that is currently available. Returns `None` if no output is available.
    async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let losses = self.losses().await?;
            if let Some(note) = self.report_losses(&losses) {
                return Ok(Some(note));
            }
            // Each read ends at the next offset with lost output, so that the loss is reported at the correct offset.
            let next = losses.iter().map(|loss| loss.offset).find(|offset| *offset > self.position);
            let ahead = next.map_or(PIECE, |next| {
                u32::try_from(next.saturating_sub(self.position)).unwrap_or(PIECE).min(PIECE)
            });
            let wanted = OutputRead { from: self.position, limit: ahead, only: self.only };
            let page = match self.api.engine.output(self.key(), wanted).await {
                Err(error) if is_missing(&error) => return Ok(None),
                other => other?,
            };
            let moved = page.next > self.position;
            let piece = self.take(&page);
            if piece.is_some() || !moved {
                return Ok(piece);
            }
        }
    }

    async fn losses(&self) -> Result<Vec<Loss>, ApiError> {
        if !self.wants_notes {
            return Ok(Vec::new());
        }
        match self.api.engine.output_losses(self.key()).await {
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            other => Ok(other?),
        }
    }

    /// Returns a note about output that was lost up to the current position and has not been reported yet.
    fn report_losses(&mut self, losses: &[Loss]) -> Option<Bytes> {
        let mut lost = 0_u64;
        for loss in losses.iter().filter(|loss| (self.begin..=self.position).contains(&loss.offset)) {
            let told = self.told.insert(loss.offset, loss.bytes).unwrap_or(0);
            lost = lost.saturating_add(loss.bytes.saturating_sub(told));
        }
        let note = || format!("{lost} bytes of the output could not be stored here and are lost");
        (lost > 0).then(|| FrameBatch::note(self.position, note()))
    }

    /// Returns the next frame from another node. Returns `None` after the last frame.
    async fn piece_there(&mut self) -> Result<Option<Bytes>, ApiError> {
        while let Some(there) = &mut self.there {
            let Some(frame) = there.next().await? else { return Ok(None) };
            if frame.kind == FrameKind::Note && !self.wants_notes {
                continue;
            }
            if frame.kind != FrameKind::Note {
                self.position = frame.offset.saturating_add(frame.bytes.len() as u64);
            }
            return Ok(Some(FrameBatch::one(&frame)));
        }
        Ok(None)
    }

    fn take(&mut self, page: &OutputPage) -> Option<Bytes> {
        let frames = FrameBatch::of(page, self.position);
        self.position = page.next.max(self.position);
        frames
    }

    /// Waits until more output may be available. Returns false if there will be no more output.
    async fn may_continue(&mut self) -> Result<bool, ApiError> {
        match self.api.engine.follow(self.id, self.attempt, self.position).await? {
            FollowProgress::Changed => return self.reload().await,
            FollowProgress::Over => {}
        }
        // Output may have been written between the last read and the end of the attempt.
        let size = match self.api.engine.output_size(self.key()).await {
            Err(error) if is_missing(&error) => 0,
            other => other?.end,
        };
        if size > self.position {
            return Ok(true);
        }
        if self.fixed {
            return Ok(false);
        }
        let ids = [self.id];
        let waited = self.api.engine.wait(&ids, WaitCondition::Running, WaitMode::All, None).await?;
        let latest = waited.processes.first().map(|stored| stored.process.attempt);
        match latest {
            Some(latest) if latest > self.attempt => {
                self.attempt = latest;
                self.position = 0;
                self.begin = 0;
                self.told.clear();
                self.reload().await
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Prepares the next read. If the attempt runs on another node, opens the output on that node.
    async fn reload(&mut self) -> Result<bool, ApiError> {
        if self.api.engine.is_shared() {
            let stored = self.api.engine.process(self.id).await?;
            self.open_remote(&stored, ReadFrom::From(self.position)).await?;
        }
        Ok(true)
    }
}

fn since(query: &QueryString, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    if let Some(millis) = query.read::<i64>("since_ms")? {
        return Ok(Some(Timestamp(millis)));
    }
    query.text("since").map(|text| moment(text, now)).transpose()
}

/// Returns true if the output does not exist: it was not written yet, will never be written, or was deleted. Readers
/// treat the three cases alike.
fn is_missing(error: &EngineError) -> bool {
    matches!(error, EngineError::Output { source: OutputError::Missing { .. } })
}
