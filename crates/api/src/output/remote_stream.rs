//! The output of an attempt that lies on another node, frame by frame, for as long as it can be had.

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

/// A follower that hears nothing for so long looks whether the other node is there at all.
const SILENCE: Duration = Duration::from_secs(5);
/// The wait before a node that cannot be reached is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The wait, and how often, where it could be reached a moment ago: a manager that begins anew is away no longer.
const RECONNECT_DELAY: Duration = Duration::from_millis(300);
const MAX_RECONNECTS: u32 = 3;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At an offset.
    From(u64),
    /// So many lines before the end.
    LastLines(u32),
    /// At a moment.
    Since(Timestamp),
}

/// Which output is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FollowTarget {
    pub(super) id: ProcessId,
    pub(super) attempt: AttemptNo,
    /// One stream of it.
    pub(super) only: Option<OutputSource>,
    /// Whether to go on as it grows.
    pub(super) goes_on: bool,
}

/// The output of an attempt that lies on another node.
///
/// A connection that breaks is made anew where it broke. While the node cannot be reached, a follower waits; when the
/// attempt is over, it gets what was kept of the end. Either is said in a frame of the kind note.
#[derive(Debug)]
pub struct RemoteOutput {
    api: Api,
    node: NodeId,
    of: FollowTarget,
    /// Where the next frame begins.
    next: ReadFrom,
    frames: Option<PeerFrames>,
    /// What is told before anything else is asked.
    ready: VecDeque<OutputFrame>,
    /// What was said last of a node that cannot be reached; nothing while it can.
    said: Option<String>,
    /// Tries since it told something; none if it never answered.
    tries: Option<u32>,
    /// How fast it tells what there is; of a follower, the frame that is coming.
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

    /// Asks the other node, so that what it refuses is refused here. Returns when it has answered, or cannot.
    ///
    /// # Errors
    /// What it refuses; `node_unreachable` if it cannot be asked, nothing is kept of the output and nobody waits for more.
    pub async fn open(&mut self) -> Result<(), ApiError> {
        match self.connect().await {
            Ok(()) => Ok(()),
            Err(away) => self.do_without(away?).await,
        }
    }

    /// The next frame; none when all was told that there is, or can be told now.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
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
        let question = PeerRequest { target: self.target(), body: None, patience: PROMPT };
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

    /// The next frame that came; none at the end, and if none came for a while from a node that is there.
    async fn received(&mut self) -> Result<Option<OutputFrame>, Unreachable> {
        let Some(frames) = &mut self.frames else { return Ok(None) };
        let (asked, before) = (Instant::now(), frames.count());
        let next = tokio::time::timeout(SILENCE, frames.next()).await;
        let came = frames.count().saturating_sub(before);
        self.pace.waited(asked.elapsed(), came);
        if self.of.goes_on && !frames.is_midway() {
            // Between two frames there may be nothing to tell, for however long.
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
            // Each node speaks for itself.
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

    /// What keeps silent is not asked for the same again by whoever only wants what there is.
    fn stalled(&mut self, why: &str) -> Unreachable {
        if !self.of.goes_on {
            self.tries = self.tries.map(|_| MAX_RECONNECTS);
        }
        Unreachable::of(&self.node, why)
    }

    /// Whether the store knows nothing to the contrary.
    async fn is_there(&self) -> bool {
        let Ok(known) = self.api.engine.nodes().await else { return true };
        let known = known.into_iter().find(|known| known.facts.id == self.node);
        known.is_some_and(|known| matches!(known.presence, Presence::Present { .. }))
    }

    /// Goes on as far as it can without the other node.
    async fn do_without(&mut self, away: Unreachable) -> Result<(), ApiError> {
        let FollowTarget { id, attempt, goes_on, .. } = self.of;
        let stored = self.api.engine.process(id).await?;
        if !is_over(&stored, attempt) && goes_on {
            // Another reason on a later try is no news.
            if self.said.is_some() {
                return Ok(());
            }
            self.say(format!("node {} cannot be reached: {}", away.node, away.why));
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
        match self.api.kept_beside(id, attempt).await? {
            Some(kept) => self.send_available(&kept, &away),
            None if self.has_told => {
                self.say(format!("the rest is on node {}, which cannot be reached: {}", away.node, away.why));
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
        self.say(if bytes < size.end {
            format!("node {node} cannot be reached: {why}; these are the last {bytes} of {} bytes", size.end)
        } else {
            format!(
                "node {node} cannot be reached: {why}; this is the complete output, stored with the record"
            )
        });
        let page = kept.read(OutputRead { from, most: u32::MAX, only: self.of.only });
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

    /// Says something once, until there is something else to say.
    fn say(&mut self, text: String) {
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

    /// Waits before the node is tried again: until something changes, or a while.
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
                // Whoever is told at once must not ask at once again and again.
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
        Ok(())
    }
}

impl Api {
    /// The output of an attempt from a place on, if it lies on another node; none if it is read here.
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

    /// What is kept of the output of an attempt beside its record.
    pub(super) async fn kept_beside(
        &self,
        id: ProcessId,
        attempt: AttemptNo,
    ) -> Result<Option<AvailableOutput>, ApiError> {
        let kept = self.engine.load_tail(id).await?;
        Ok(kept.filter(|(of, _)| *of == attempt).map(|(attempt, tail)| AvailableOutput { attempt, tail }))
    }
}
