//! A stream of messages, one per line. The load that one connection can cause is limited.

mod line;
mod load;

use line::{MessageReader, StreamLine};
use load::{ConnectionLoad, RequestAdmission};
use rmcp::RoleServer;
use rmcp::model::{
    ClientNotification, ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, JsonRpcRequest, RequestId,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::ToolError;
use crate::parameters;
use crate::tool::Tool;

/// Byte order mark, which some programs write before their text. It is skipped.
const MARK: &[u8] = "\u{feff}".as_bytes();
/// Timeout for writing unsent replies after the client has closed its side of the stream.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Stream of messages. While a client does not read its replies, its next requests are not read either.
pub(crate) struct MessageStream<R, W> {
    lines: MessageReader<R>,
    write: Arc<Mutex<Option<W>>>,
    load: Arc<ConnectionLoad>,
}

/// Result of parsing a line.
enum MessageKind {
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// A message that needs no reply.
    Nothing,
    Refused {
        id: Value,
        error: ErrorData,
    },
}

impl<R, W> MessageStream<R, W>
where
    R: AsyncBufRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(crate) fn new(read: R, write: W) -> Self {
        Self {
            lines: MessageReader::new(read),
            write: Arc::new(Mutex::new(Some(write))),
            load: Arc::default(),
        }
    }

    fn refuse(&self, id: &Value, error: &ErrorData) {
        tracing::debug!(code = error.code.0, "rejected a message of a client");
        let line = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        // A read can be cancelled at any await, but the rejection must still be written, so a separate task writes it.
        tokio::spawn(self.written(line.to_string().into_bytes()));
    }

    /// Writes a line. The bytes of the line count as unsent from this call until the returned future has completed.
    fn written(&self, mut line: Vec<u8>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        line.push(b'\n');
        let (write, weight) = (self.write.clone(), self.load.weigh(line.len()));
        async move {
            let mut write = write.lock().await;
            let Some(write) = write.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
            write.write_all(&line).await?;
            write.flush().await?;
            drop(weight);
            Ok(())
        }
    }
}

impl<R, W> Transport<RoleServer> for MessageStream<R, W>
where
    R: AsyncBufRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        match &message {
            JsonRpcMessage::Response(answer) => self.load.done(&answer.id),
            JsonRpcMessage::Error(error) => error.id.iter().for_each(|id| self.load.done(id)),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => {}
        }
        let written = serde_json::to_vec(&message).map(|line| self.written(line));
        async move { written?.await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            self.load.room().await;
            let (said, bytes) = match self.lines.next().await {
                Ok(StreamLine::Whole(line)) => (understood(&line), line.len()),
                Ok(StreamLine::TooLong) => (refused(Value::Null, too_long()), 0),
                Ok(StreamLine::End) => {
                    // A client that has closed its side of the stream may still read the last replies.
                    let _late = timeout(FLUSH_TIMEOUT, self.load.sent()).await;
                    return None;
                }
                Err(error) => {
                    tracing::debug!(%error, "the stream of a client was interrupted");
                    return None;
                }
            };
            match said {
                MessageKind::Nothing => {}
                MessageKind::Refused { id, error } => self.refuse(&id, &error),
                MessageKind::Message(message) => match self.noted(&message, bytes) {
                    Ok(()) => return Some(*message),
                    Err((id, error)) => self.refuse(&id.into_json_value(), &error),
                },
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.write.lock().await.take());
        Ok(())
    }
}

impl<R, W> MessageStream<R, W> {
    /// Adds a message of this size to the load. If the message ends another request, removes that request from the
    /// load.
    ///
    /// # Errors
    /// Returns the id of the request and the error if the request is rejected.
    fn noted(
        &self,
        message: &RxJsonRpcMessage<RoleServer>,
        bytes: usize,
    ) -> Result<(), (RequestId, ErrorData)> {
        match message {
            JsonRpcMessage::Request(asked) => {
                match self.load.begin(&asked.id, parks(&asked.request), bytes) {
                    RequestAdmission::Once => Ok(()),
                    RequestAdmission::Twice => {
                        let error =
                            ErrorData::invalid_request("a request with this id is already running", None);
                        Err((asked.id.clone(), error))
                    }
                    RequestAdmission::Crowded => {
                        Err((asked.id.clone(), ToolError::too_many_calls().into_error()))
                    }
                }
            }
            JsonRpcMessage::Notification(reported) => {
                if let ClientNotification::CancelledNotification(cancelled) = &reported.notification {
                    // A cancelled request gets no reply, so its load is removed now.
                    cancelled.params.request_id.iter().for_each(|id| self.load.done(id));
                }
                Ok(())
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => Ok(()),
        }
    }
}

/// Returns true if a request waits for an event. While it is waiting, it uses almost no resources.
fn parks(request: &ClientRequest) -> bool {
    if let ClientRequest::CallToolRequest(call) = request {
        let waits = |arguments: &rmcp::model::JsonObject| {
            arguments.get("wait_seconds").and_then(Value::as_f64).is_some_and(|seconds| seconds > 0.0)
        };
        return call.params.name == Tool::WaitForProcess.name()
            || call.params.arguments.as_ref().is_some_and(waits);
    }
    matches!(request, ClientRequest::SubscriptionsListenRequest(_))
}

fn understood(line: &[u8]) -> MessageKind {
    let line = line.strip_prefix(MARK).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return MessageKind::Nothing;
    }
    match serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line) {
        Ok(JsonRpcMessage::Request(JsonRpcRequest {
            id,
            request: ClientRequest::CustomRequest(custom),
            ..
        })) if let Some(error) = parameters::wrong(&custom.method, custom.params.as_ref()) => {
            refused(id.into_json_value(), error)
        }
        Ok(message) => MessageKind::Message(Box::new(message)),
        Err(error) => misunderstood(line, &error),
    }
}

fn misunderstood(line: &[u8], why: &serde_json::Error) -> MessageKind {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return unreadable(line, &error),
    };
    let id = value.get("id");
    if id.is_none() && value.get("method").is_some_and(Value::is_string) {
        return MessageKind::Nothing;
    }
    let id = known(id.cloned());
    let is_of_form = value.get("jsonrpc").is_some_and(|form| form == "2.0") && !id.is_null();
    if let Some(method) = value.get("method").and_then(Value::as_str).filter(|_| is_of_form) {
        let params = value.get("params");
        if let Some(error) = parameters::wrong(method, params) {
            return refused(id, error);
        }
        if params.is_some_and(Value::is_array) {
            return refused(id, parameters::no_method(method));
        }
    }
    let text = if value.is_array() {
        "batches are not supported: send one message per line".to_owned()
    } else {
        format!("this is not a JSON-RPC 2.0 message: {why}")
    };
    refused(id, ErrorData::invalid_request(text, None))
}

/// Handles a line that the main parser rejects. The line may still be valid JSON, for example with too deep nesting or
/// with a number that is too large. In this case, the sender needs a reply with the id of its request.
fn unreadable(line: &[u8], why: &serde_json::Error) -> MessageKind {
    // One UTF-8 check of the whole line is faster than a check of each skipped value.
    match str::from_utf8(line)
        .map_err(drop)
        .and_then(|line| serde_json::from_str::<RequestEnvelope>(line).map_err(drop))
    {
        Ok(RequestEnvelope { id: None, method: Some(_) }) => MessageKind::Nothing,
        Ok(RequestEnvelope { id, .. }) => {
            refused(known(id), ErrorData::invalid_request(format!("this JSON is not accepted: {why}"), None))
        }
        Err(()) => {
            let error = ErrorData::new(ErrorCode::PARSE_ERROR, format!("this is not JSON: {why}"), None);
            refused(Value::Null, error)
        }
    }
}

/// The parts of a message that determine whether it needs a reply.
#[derive(Deserialize)]
struct RequestEnvelope {
    id: Option<Value>,
    method: Option<IgnoredAny>,
}

/// Returns the id if a reply may contain it, or null if the id is invalid.
fn known(id: Option<Value>) -> Value {
    id.filter(|id| id.is_string() || id.is_i64()).unwrap_or_default()
}

fn too_long() -> ErrorData {
    ErrorData::invalid_request(format!("a message may have at most {} bytes", line::MAX_MESSAGE_LEN), None)
}

const fn refused(id: Value, error: ErrorData) -> MessageKind {
    MessageKind::Refused { id, error }
}
