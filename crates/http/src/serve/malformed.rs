//! Adds a problem document to the responses that hyper sends to malformed requests.
//!
//! hyper answers a request that it cannot parse with a status and no body. The routes never receive such a request.

use crate::request_id::{REQUEST_ID, made};
use crate::router::VERSION_HEADER;
use axum::http::{HeaderName, StatusCode};
use hyper::rt::{Read, ReadBufCursor, Write};
use longhaul_api::ApiError;
use longhaul_wire::api::{PROTOCOL, PROTOCOL_HEADER, Problem};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// Connection on which hyper's response to a malformed first request is replaced by a response with a problem document.
///
/// Bytes are replaced only until a request reaches the routes. After that, similar bytes may be part of a response
/// body.
#[derive(Debug)]
pub(super) struct MalformedRequestStream<I> {
    stream: I,
    heard: Arc<AtomicBool>,
    instead: Option<ReplacedBytes>,
}

/// Response bytes that replace hyper's response to a malformed request.
#[derive(Debug)]
struct ReplacedBytes {
    bytes: Vec<u8>,
    written: usize,
    /// Length of the replaced response. This length is reported to the writer as written.
    stands_for: usize,
}

impl<I> MalformedRequestStream<I> {
    /// Wraps `stream`. The caller sets `heard` to true as soon as a request reaches the routes.
    pub(super) const fn new(stream: I, heard: Arc<AtomicBool>) -> Self {
        Self { stream, heard, instead: None }
    }
}

impl<I: Read + Unpin> Read for MalformedRequestStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<I: Write + Unpin> Write for MalformedRequestStream<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, heard, instead } = &mut *self;
        if instead.is_none() && !heard.load(Ordering::Acquire) {
            let explained = refused(bytes).and_then(explained);
            *instead = explained.map(|explained| ReplacedBytes {
                bytes: explained,
                written: 0,
                stands_for: bytes.len(),
            });
        }
        let Some(ReplacedBytes { bytes: explained, written, stands_for }) = instead else {
            return Pin::new(stream).poll_write(context, bytes);
        };
        while let Some(rest) = explained.get(*written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written = written.saturating_add(more),
            }
        }
        let stands_for = *stands_for;
        *instead = None;
        // The connection closes after a refusal, so no later response needs to be replaced.
        heard.store(true, Ordering::Release);
        Poll::Ready(Ok(stands_for))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.heard.load(Ordering::Acquire) && self.instead.is_none() {
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.poll_write(context, first.map_or(&[], |piece| piece))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Returns the status if the bytes are hyper's response to a malformed request. Returns `None` for any other bytes.
fn refused(bytes: &[u8]) -> Option<StatusCode> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)
}

/// Builds a complete response with this status and a problem document.
fn explained(status: StatusCode) -> Option<Vec<u8>> {
    let why = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            "the headers of the request are too large"
        }
        _ => "the request is not HTTP/1.1",
    };
    let fault = ApiError::new(status.as_u16(), "invalid_request", "the request cannot be read").because(why);
    let id = made();
    let id = id.to_str().unwrap_or_default();
    let instance = Some(format!("urn:longhaul:request:{id}"));
    let problem = Problem { instance, request_id: Some(id.to_owned()), ..fault.into_problem() };
    let mut body = serde_json::to_vec(&problem).ok()?;
    let headers: [(HeaderName, &str); 6] = [
        (axum::http::header::CONTENT_TYPE, "application/problem+json"),
        (axum::http::header::CONTENT_LENGTH, &body.len().to_string()),
        (axum::http::header::CONNECTION, "close"),
        (HeaderName::from_static(PROTOCOL_HEADER), &PROTOCOL.to_string()),
        (VERSION_HEADER, env!("CARGO_PKG_VERSION")),
        (REQUEST_ID, id),
    ];
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {} {reason}\r\n{lines}\r\n", status.as_u16()).into_bytes();
    answer.append(&mut body);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    /// Writes `bytes` through a channel that accepts 7 bytes at a time. Returns the text that arrives at the other end.
    async fn arrives(bytes: &[u8], heard: bool) -> String {
        let (near, mut far) = tokio::io::duplex(7);
        let heard = Arc::new(AtomicBool::new(heard));
        let mut near = TokioIo::new(MalformedRequestStream::new(TokioIo::new(near), heard));
        let write = async move {
            near.write_all(bytes).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let mut text = String::new();
        let (_, read) = tokio::join!(write, far.read_to_string(&mut text));
        read.unwrap();
        text
    }

    #[tokio::test]
    async fn bare_refusal_says_why_and_nothing_else_is_changed() {
        let reported = arrives(BARE, false).await;
        let (head, body) = reported.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("connection: close"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"));
        assert!(head.contains(&format!("x-request-id: {}", problem.request_id.unwrap())));
        let bare = String::from_utf8(BARE.to_vec()).unwrap();
        assert_eq!(arrives(BARE, true).await, bare, "an answer may hold just that");
        for other in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1", "x"] {
            assert_eq!(arrives(other.as_bytes(), false).await, other);
        }
    }
}
