//! Reads the output of one process and reconnects after a broken connection.

use crate::arguments::StreamName;
use crate::failure::CliError;
use crate::reconnection::Reconnection;
use crate::value::DurationArg;
use longhaul_client::{Client, FrameStream, RequestPath};
use longhaul_wire::output::{FrameKind, OutputFrame};

/// Selection of the output that is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct FollowRequest {
    pub(crate) reference: String,
    pub(crate) follow: bool,
    pub(crate) lines: Option<u64>,
    pub(crate) since: Option<DurationArg>,
    pub(crate) stream: Option<StreamName>,
    pub(crate) attempt: Option<u32>,
}

/// A chunk of output, or a message about the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutputPiece {
    Stdout {
        at: i64,
        bytes: Vec<u8>,
    },
    Stderr {
        at: i64,
        bytes: Vec<u8>,
    },
    /// Note from the manager about the output.
    Note {
        text: String,
    },
    /// Output is missing at this point. `dropped` is the number of missing bytes, or `None` if the number is unknown.
    Gap {
        dropped: Option<u64>,
    },
}

/// Reader of the output of one process.
///
/// If the connection breaks while `follow` is set, the reader reconnects and resumes at the next byte.
pub(crate) struct OutputFollower<'a> {
    client: &'a Client,
    asked: FollowRequest,
    frames: Option<FrameStream>,
    /// Offset of the next chunk; `None` until the first chunk has been read.
    next: Option<u64>,
    reconnection: Reconnection,
}

impl<'a> OutputFollower<'a> {
    pub(crate) const fn new(client: &'a Client, asked: FollowRequest) -> Self {
        Self { client, asked, frames: None, next: None, reconnection: Reconnection::none() }
    }

    /// Returns the next chunk. Returns `None` at the end of the output.
    ///
    /// # Cancel safety
    /// Dropping the future loses no output.
    pub(crate) async fn next(&mut self) -> Result<Option<OutputPiece>, CliError> {
        loop {
            match self.next_frame().await {
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => {
                    self.reconnection.end();
                    if let Some(piece) = self.piece(frame) {
                        return Ok(Some(piece));
                    }
                }
                Err(failure) => self.survive(failure).await?,
            }
        }
    }

    /// Returns the line number at which the requested output begins, and makes the reader start at that line. Returns
    /// `None` if the number is unknown because earlier lines are no longer stored.
    ///
    /// # Errors
    /// Fails if the output cannot be read.
    pub(crate) async fn first_line(&mut self) -> Result<Option<u64>, CliError> {
        if self.asked.lines.is_none() && self.asked.since.is_none() {
            return Ok(Some(1));
        }
        let mut asked = FollowRequest { follow: false, ..self.asked.clone() };
        let begin = Self::new(self.client, asked.clone()).next_frame().await?;
        let begin = begin.map_or(0, |frame| frame.offset);
        self.next = Some(begin);
        (asked.lines, asked.since) = (None, None);
        let mut before = Self::new(self.client, asked);
        let (mut line, mut place) = (1_u64, 0_u64);
        while place < begin {
            let Some(OutputFrame { kind, offset, bytes, .. }) = before.next_frame().await? else { break };
            match kind {
                FrameKind::Stdout | FrameKind::Stderr => {
                    let wanted = usize::try_from(begin.saturating_sub(offset)).unwrap_or(usize::MAX);
                    let bytes = bytes.get(..wanted).unwrap_or(&bytes);
                    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
                    line = line.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
                    place = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                }
                FrameKind::Gap => return Ok(None),
                FrameKind::Note => {}
                FrameKind::End => break,
            }
        }
        Ok(Some(line))
    }

    async fn next_frame(&mut self) -> Result<Option<OutputFrame>, CliError> {
        if self.frames.is_none() {
            self.frames = Some(self.client.stream(&self.path()).await?);
        }
        match &mut self.frames {
            Some(frames) => Ok(frames.next().await?),
            None => Ok(None),
        }
    }

    fn path(&self) -> RequestPath {
        let asked = &self.asked;
        let stream = asked.stream.map(|stream| match stream {
            StreamName::Stdout => "stdout",
            StreamName::Stderr => "stderr",
        });
        let path = RequestPath::process_part(&asked.reference, "output")
            .with_some("follow", asked.follow.then_some(true))
            .with_some("stream", stream)
            .with_some("attempt", asked.attempt);
        match self.next {
            Some(next) => path.with("from", &next.to_string()),
            None => path
                .with_some("lines", asked.lines)
                .with_some("since", asked.since.map(|since| format!("{}ms", since.as_millis()))),
        }
    }

    fn piece(&mut self, frame: OutputFrame) -> Option<OutputPiece> {
        let OutputFrame { kind, offset, at, bytes } = frame;
        if kind == FrameKind::Note {
            return Some(OutputPiece::Note { text: String::from_utf8_lossy(&bytes).into_owned() });
        }
        let before = self.next.replace(offset.saturating_add(bytes.len() as u64));
        match kind {
            FrameKind::Stdout => Some(OutputPiece::Stdout { at, bytes }),
            FrameKind::Stderr => Some(OutputPiece::Stderr { at, bytes }),
            FrameKind::Gap => {
                Some(OutputPiece::Gap { dropped: before.and_then(|before| offset.checked_sub(before)) })
            }
            FrameKind::End | FrameKind::Note => None,
        }
    }

    /// Waits for a short time before the next attempt to reconnect. Returns the failure if another attempt cannot help
    /// or if the time limit has passed.
    async fn survive(&mut self, failure: CliError) -> Result<(), CliError> {
        let never_connected = self.frames.take().is_none() && !self.reconnection.has_begun();
        if !self.asked.follow || !failure.is_passing() || never_connected {
            return Err(failure);
        }
        self.reconnection.survive(failure).await
    }
}
