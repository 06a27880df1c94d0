//! One question to a manager, which may be dead, halted or without a store.

use crate::owner::Owner;
use longhaul_wire::api::ProcessView;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What came back.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An answer.
    Said {
        /// The code.
        status: u16,
        /// The document.
        body: Value,
    },
    /// Nobody was there to be asked.
    Nobody,
    /// It was asked, and what came of it is not known.
    Silence,
}

/// Asks, and waits for the answer for so long at most.
#[must_use]
pub fn ask(socket: &Path, method: &str, path: &str, body: &Value, time_limit: Duration) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let Ok(mut stream) = connect(socket) else { return Answer::Nobody };
    let question = format!(
        "{method} {path} HTTP/1.1\r\nhost: longhaul\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let heard = stream
        .set_read_timeout(Some(time_limit))
        .and_then(|()| stream.set_write_timeout(Some(time_limit)))
        .and_then(|()| stream.write_all(question.as_bytes()))
        .and_then(|()| stream.read_to_end(&mut answer));
    if heard.is_err() {
        return Answer::Silence;
    }
    said(&String::from_utf8_lossy(&answer)).unwrap_or(Answer::Silence)
}

/// A manager serves nobody but its owner.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    Owner::of(socket).act(|| UnixStream::connect(socket))
}

/// A stream of lines of JSON that ends with what there is; none if it broke off.
#[must_use]
pub fn lines(socket: &Path, path: &str, time_limit: Duration) -> Option<Vec<Value>> {
    let mut stream = connect(socket).ok()?;
    stream.set_read_timeout(Some(time_limit)).ok()?;
    // In the first version of the protocol a body is not cut into chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: longhaul\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.contains(" 200 ") {
        return None;
    }
    body.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).ok()).collect()
}

/// All records that a filter admits, page by page; none if one cannot be had, or if a manager whose store is away can tell
/// of its own alone.
#[must_use]
pub fn list(socket: &Path, filter: &str, time_limit: Duration) -> Option<Vec<ProcessView>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/processes?{filter}&limit=1000{cursor}");
        let Answer::Said { status: 200, body } = ask(socket, "GET", &path, &Value::Null, time_limit) else {
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
    Some(Answer::Said { status, body: serde_json::from_str(body).ok()? })
}
