//! Client side of a stream of server-sent events.

use crate::error::ClientError;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Maximum number of buffered bytes of an incomplete line. A longer line is an error.
const MAX_EVENT_LEN: usize = 4 * 1024 * 1024;

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// Cursor with which a reader continues after this event.
    pub id: Option<String>,
    /// Type of the event.
    pub event: String,
    /// Payload as JSON on one line.
    pub data: String,
}

/// Stream of server-sent events.
pub struct EventStream {
    body: Incoming,
    buffer: Vec<u8>,
    begun: ServerEvent,
}

impl EventStream {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, buffer: Vec::new(), begun: ServerEvent::default() }
    }

    /// Returns the next event. Returns `None` if the server ended the stream properly.
    ///
    /// # Cancel safety
    /// Dropping the future loses no data.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, ClientError> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Some(sent) = self.line(String::from_utf8_lossy(&line).trim_end()) {
                    return Ok(Some(sent));
                }
            }
            if self.buffer.len() > MAX_EVENT_LEN {
                return Err(ClientError::Broken { why: "an event of the manager has no end".to_owned() });
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(part) => {
                    if let Ok(data) = part.map_err(super::broken)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// Parses one line of the stream. An empty line completes the current event, which is then returned.
    fn line(&mut self, line: &str) -> Option<ServerEvent> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.begun.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.begun.event),
            "data" => self.begun.data.push_str(value),
            "" if line.is_empty() => {
                let sent = std::mem::take(&mut self.begun);
                return Some(sent).filter(|sent| !sent.data.is_empty());
            }
            // The line is a comment, or a field that this version does not know.
            _ => {}
        }
        None
    }
}
