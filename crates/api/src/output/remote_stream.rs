//! A stream of output frames from another node.

use super::available::AvailableOutput;
use super::place::is_over;
use super::throughput::MinThroughput;
use crate::api::Api;
use crate::error::ApiError;
use crate::peers::{PROMPT, PeerFrames, PeerRequest, PeerRequestError, Unreachable};
use longhaul_domain::{AttemptNo, NodeId, ProcessId, Timestamp};
use longhaul_engine::ports::{OutputRead, OutputSource, Presence};
use longhaul_wire::output::{FrameKind, OutputFrame};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Time without data after which a stream that follows the output checks whether the other node is still present.
const SILENCE: Duration = Duration::from_secs(5);
/// Delay before a request to an unreachable node is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay before each of up to [`MAX_RECONNECTS`] attempts to reconnect to a node that responded a moment ago. The
/// manager of this node may just be restarting.
const RECONNECT_DELAY: Duration = Duration::from_millis(300);
const MAX_RECONNECTS: u32 = 3;

/// Start position of an output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The given byte offset.
    From(u64),
    /// The start of the last lines. The value is the number of these lines.
    LastLines(u32),
    /// The first output that was written at or after this time.
    Since(Timestamp),
}

/// Selection of the output that a stream reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FollowTarget {
    pub(super) id: ProcessId,
    pub(super) attempt: AttemptNo,
    /// Single output stream to read. `None` means both stdout and stderr.
    pub(super) only: Option<OutputSource>,
    /// True if the stream follows the output: at the end of the existing output, it waits for new output.
    pub(super) goes_on: bool,
}

/// A stream of the output of an attempt on another node.
///
/// A broken connection is opened again at the same position. While the node is unreachable, a stream that follows the
/// output waits. If the attempt has ended, the stream delivers the stored output tail instead. In both cases, a frame
/// of the kind `Note` reports this to the reader.
#[derive(Debug)]
pub struct RemoteOutput {
    api: Api,
    node: NodeId,
    of: FollowTarget,
    /// Start position of the next frame.
    next: ReadFrom,
    frames: Option<PeerFrames>,
    /// Received frames that have not been returned yet. They are returned before more are read.
    ready: VecDeque<OutputFrame>,
    /// Last note about the unreachable node. `None` while the node is reachable.
    said: Option<String>,
    /// Connection attempts since the last received frame. `None` if the node has never responded.
    tries: Option<u32>,
    /// Speed at which existing output arrives. For a stream that follows the output, only the current frame is
    /// measured.
    pace: MinThroughput,
    has_told: bool,
    is_over: bool,
}

impl RemoteOutput {
    pub(super) fn new(api: Api, node: NodeId, of: FollowTarget, begin: ReadFrom) -> Self {
        Self {
            api,
            node,
            of,
            next: begin,
            frames: None,
            ready: VecDeque::new(),
            said: None,
            tries: None,
            pace: MinThroughput::default(),
            has_told: false,
            is_over: false,
        }
    }

    /// Opens the connection. Returns as soon as the other node has responded or turns out to be unreachable.
    ///
    /// # Errors
    /// Returns the error of the other node if it refuses the request. Returns `node_unreachable` if the node is
    /// unreachable, no output tail is stored, and the stream does not wait for more output.
    pub async fn open(&mut self) -> Result<(), ApiError> {
        match self.connect().await {
            Ok(()) => Ok(()),
            Err(away) => self.do_without(away?).await,
        }
    }

    /// Waits for the next frame. Returns `None` when all available output has been returned.
    ///
    /// # Errors
    /// Returns the same errors as [`open`](Self::open).
    pub async fn next(&mut self) -> Result<Option<OutputFrame>, ApiError> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if self.is_over {
                return Ok(None);
            }
            if self.frames.is_none() {
                self.wait().await?;
                self.open().await?;
                continue;
            }
            match self.received().await {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(away) => {
                    self.frames = None;
                    self.do_without(away).await?;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Result<Unreachable, ApiError>> {
        let question = PeerRequest { target: self.target(), body: None, time_limit: PROMPT };
        let asked = Instant::now();
        let answer = self.api.peers.ask(&self.api.engine, &self.node, question).await;
        if self.of.goes_on {
            self.pace = MinThroughput::default();
        } else {
            self.pace.waited(asked.elapsed(), 0);
        }
        match answer {
            Ok(answer) => {
                self.frames = Some(PeerFrames::new(answer.body));
                self.tries.get_or_insert(0);
                self.said = None;
                Ok(())
            }
            Err(PeerRequestError::Refused(fault)) => Err(Err(fault)),
            Err(PeerRequestError::Away(away)) => Err(Ok(away)),
        }
    }

    fn target(&self) -> String {
        let FollowTarget { id, attempt, only, goes_on } = self.of;
        let begin = match self.next {
            ReadFrom::From(from) => format!("from={from}"),
            ReadFrom::LastLines(lines) => format!("lines={lines}"),
            ReadFrom::Since(moment) => format!("since_ms={}", moment.0),
        };
        let stream = match only {
            None => "",
            Some(OutputSource::Stdout) => "&stream=stdout",
            Some(OutputSource::Stderr) => "&stream=stderr",
        };
        format!("/v1/processes/{id}/output?attempt={attempt}&{begin}&follow={goes_on}{stream}")
    }

    /// Receives the next frame. Returns `None` at the end of the stream, or if the node is present but has sent no
    /// frame for a while.
    async fn received(&mut self) -> Result<Option<OutputFrame>, Unreachable> {
        let Some(frames) = &mut self.frames else { return Ok(None) };
        let (asked, before) = (Instant::now(), frames.count());
        let next = tokio::time::timeout(SILENCE, frames.next()).await;
        let came = frames.count().saturating_sub(before);
        self.pace.waited(asked.elapsed(), came);
        if self.of.goes_on && !frames.is_midway() {
            // Between two frames, the command may write nothing for any length of time.
            self.pace = MinThroughput::default();
        }
        let frame = match next {
            Ok(Err(torn)) => return Err(Unreachable::of(&self.node, torn.to_string())),
            Ok(Ok(_)) | Err(_) if self.pace.is_too_slow() => {
                return Err(self.stalled("the node sends the output too slowly"));
            }
            Ok(Ok(frame)) => frame,
            Err(_) if came > 0 => return Ok(None),
            Err(_) if self.of.goes_on && !frames.is_midway() && self.is_there().await => return Ok(None),
            Err(_) => return Err(self.stalled("the node stopped sending")),
        };
        let position = match self.next {
            ReadFrom::From(position) => position,
            ReadFrom::LastLines(_) | ReadFrom::Since(_) => 0,
        };
        let end = frame.offset.checked_add(frame.bytes.len() as u64);
        match (frame.kind, end) {
            // Notes from the other node are dropped, because this node creates its own notes.
            (FrameKind::Note, _) => Ok(None),
            (_, Some(end)) if frame.offset >= position => {
                self.next = ReadFrom::From(end);
                if frame.kind == FrameKind::End {
                    (self.is_over, self.frames) = (true, None);
                    return Ok(None);
                }
                (self.has_told, self.tries) = (true, Some(0));
                Ok(Some(frame))
            }
            (FrameKind::End, _) => {
                (self.is_over, self.frames) = (true, None);
                Ok(None)
            }
            (FrameKind::Stdout | FrameKind::Stderr | FrameKind::Gap, _) => {
                Err(Unreachable::of(&self.node, "the node sent the output out of order"))
            }
        }
    }

    /// Creates the error for a node that stopped sending. If `goes_on` is false, no further request is sent to the
    /// node.
    fn stalled(&mut self, why: &str) -> Unreachable {
        if !self.of.goes_on {
            self.tries = self.tries.map(|_| MAX_RECONNECTS);
        }
        Unreachable::of(&self.node, why)
    }

    /// Returns false if the store reports that the node is not present. Returns true if the node is present or if the
    /// store cannot be read.
    async fn is_there(&self) -> bool {
        let Ok(known) = self.api.engine.nodes().await else { return true };
        let known = known.into_iter().find(|known| known.facts.id == self.node);
        known.is_some_and(|known| matches!(known.presence, Presence::Present { .. }))
    }

    /// Decides how the stream continues without the other node: by waiting, by trying again, or with the stored output
    /// tail.
    async fn do_without(&mut self, away: Unreachable) -> Result<(), ApiError> {
        let FollowTarget { id, attempt, goes_on, .. } = self.of;
        let stored = self.api.engine.process(id).await?;
        if !is_over(&stored, attempt) && goes_on {
            // The reader is notified only once that the node is unreachable, even if a later attempt fails for a
            // different reason.
            if self.said.is_some() {
                return Ok(());
            }
            self.push_note(format!("node {} cannot be reached: {}", away.node, away.why));
            return Ok(());
        }
        if let Some(tries) = &mut self.tries
            && *tries < MAX_RECONNECTS
            && !self.pace.is_too_slow()
        {
            *tries += 1;
            return Ok(());
        }
        self.is_over = true;
        match self.api.tail_if_unreachable(id, attempt).await? {
            Some(kept) => self.send_available(&kept, &away),
            None if self.has_told => {
                self.push_note(format!(
                    "the rest of the output is on node {}, which cannot be reached: {}",
                    away.node, away.why
                ));
            }
            None => return Err(away.output(id)),
        }
        Ok(())
    }

    fn send_available(&mut self, kept: &AvailableOutput, away: &Unreachable) {
        let size = kept.size();
        let from = match self.next {
            ReadFrom::From(from) => from,
            ReadFrom::LastLines(lines) => kept.last_lines(lines, self.of.only),
            ReadFrom::Since(moment) => {
                let chunks = kept.tail.chunks.iter();
                chunks.filter(|chunk| chunk.at >= moment).map(|chunk| chunk.offset).next().unwrap_or(size.end)
            }
        };
        self.next = ReadFrom::From(from);
        let Unreachable { node, why, .. } = away;
        let bytes = size.end.saturating_sub(kept.tail.begin());
        self.push_note(if bytes < size.end {
            format!("node {node} cannot be reached: {why}; these are the last {bytes} of {} bytes", size.end)
        } else {
            format!(
                "node {node} cannot be reached: {why}; this is the complete output, stored with the record"
            )
        });
        let page = kept.read(OutputRead { from, limit: u32::MAX, only: self.of.only });
        if page.gap > 0 {
            let offset = kept.tail.begin();
            self.ready.push_back(OutputFrame { kind: FrameKind::Gap, offset, at: 0, bytes: Vec::new() });
        }
        for chunk in page.chunks {
            let kind = match chunk.source {
                OutputSource::Stdout => FrameKind::Stdout,
                OutputSource::Stderr => FrameKind::Stderr,
            };
            self.ready.push_back(OutputFrame {
                kind,
                offset: chunk.offset,
                at: chunk.at.0,
                bytes: chunk.bytes,
            });
        }
        self.next = ReadFrom::From(page.next.max(from));
    }

    /// Queues a note for the reader, unless it repeats the previous note.
    fn push_note(&mut self, text: String) {
        if self.said.as_ref() == Some(&text) {
            return;
        }
        let offset = match self.next {
            ReadFrom::From(offset) => offset,
            ReadFrom::LastLines(_) | ReadFrom::Since(_) => 0,
        };
        let bytes = text.clone().into_bytes();
        self.ready.push_back(OutputFrame { kind: FrameKind::Note, offset, at: 0, bytes });
        self.said = Some(text);
    }

    /// Waits before the next request to the node, until the output changes or the delay is over.
    async fn wait(&self) -> Result<(), ApiError> {
        let FollowTarget { id, attempt, .. } = self.of;
        let position = match self.next {
            ReadFrom::From(position) => position,
            ReadFrom::LastLines(_) | ReadFrom::Since(_) => 0,
        };
        if self.tries.is_some_and(|tries| tries > 0) {
            tokio::time::sleep(RECONNECT_DELAY).await;
            return Ok(());
        }
        tokio::select! {
            followed = self.api.engine.follow(id, attempt, position) => {
                followed?;
                // Prevents a busy loop in case `follow` returns immediately each time.
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
        Ok(())
    }
}

impl Api {
    /// Returns a stream of the output of an attempt on another node, or `None` if the output is on this node.
    pub async fn following(
        &self,
        stored: &longhaul_engine::ports::StoredProcess,
        attempt: AttemptNo,
        only: Option<OutputSource>,
        goes_on: bool,
        begin: ReadFrom,
    ) -> Option<RemoteOutput> {
        let node = crate::peers::elsewhere(&self.engine, stored, attempt).await?;
        let of = FollowTarget { id: stored.process.id, attempt, only, goes_on };
        Some(RemoteOutput::new(self.clone(), node, of, begin))
    }

    /// Returns the output tail that is stored with the record of the process, if the tail belongs to this attempt.
    pub(super) async fn tail_if_unreachable(
        &self,
        id: ProcessId,
        attempt: AttemptNo,
    ) -> Result<Option<AvailableOutput>, ApiError> {
        let kept = self.engine.load_tail(id).await?;
        Ok(kept.filter(|(of, _)| *of == attempt).map(|(attempt, tail)| AvailableOutput { attempt, tail }))
    }
}
