//! Sends single HTTP requests to a manager. The manager may be dead or stopped, or its store may be unreachable.

use crate::owner::Owner;
use longhaul_wire::api::ProcessView;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Result of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The manager sent a complete response.
    Response {
        /// HTTP status code.
        status: u16,
        /// JSON body.
        body: Value,
    },
    /// The connection failed.
    NoConnection,
    /// The request was sent, but no complete response arrived.
    NoResponse,
}

/// Sends a request and reads the response. `timeout` applies to each single read and write.
#[must_use]
pub fn ask(socket: &Path, method: &str, path: &str, body: &Value, timeout: Duration) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let Ok(mut stream) = connect(socket) else { return Answer::NoConnection };
    let question = format!(
        "{method} {path} HTTP/1.1\r\nhost: longhaul\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let heard = stream
        .set_read_timeout(Some(timeout))
        .and_then(|()| stream.set_write_timeout(Some(timeout)))
        .and_then(|()| stream.write_all(question.as_bytes()))
        .and_then(|()| stream.read_to_end(&mut answer));
    if heard.is_err() {
        return Answer::NoResponse;
    }
    said(&String::from_utf8_lossy(&answer)).unwrap_or(Answer::NoResponse)
}

/// Connects to the socket as the user that owns it, because a manager accepts only its own user.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    Owner::of(socket).act(|| UnixStream::connect(socket))
}

/// Reads a stream of JSON lines to its end. Returns `None` if the connection fails or a line is not complete.
#[must_use]
pub fn lines(socket: &Path, path: &str, timeout: Duration) -> Option<Vec<Value>> {
    let mut stream = connect(socket).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    // Use HTTP/1.0, because it has no chunked bodies.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: longhaul\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.contains(" 200 ") {
        return None;
    }
    body.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).ok()).collect()
}

/// Lists all records that match a filter, page by page. Returns `None` if a page cannot be read. Also returns `None` if
/// the store is unreachable, because the manager then knows only its own records.
#[must_use]
pub fn list(socket: &Path, filter: &str, timeout: Duration) -> Option<Vec<ProcessView>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/processes?{filter}&limit=1000{cursor}");
        let Answer::Response { status: 200, body } = ask(socket, "GET", &path, &Value::Null, timeout) else {
            return None;
        };
        if body.get("stale_since").is_some_and(|since| !since.is_null()) {
            return None;
        }
        for process in body.get("processes")?.as_array()? {
            all.push(serde_json::from_value(process.clone()).ok()?);
        }
        match body.get("cursor").and_then(Value::as_str) {
            None => return Some(all),
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
}

fn said(answer: &str) -> Option<Answer> {
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1;
    Some(Answer::Response { status, body: serde_json::from_str(body).ok()? })
}
