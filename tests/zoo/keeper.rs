//! Sends requests to a manager, as the user that the manager runs as.

use longhaul_tests::Owner;
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Client for the manager at a socket.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    socket: PathBuf,
}

impl Keeper {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Sends a request. Returns `None` if no manager answers.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        let question = format!(
            "{method} {path} HTTP/1.1\r\nhost: longhaul\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(question.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        Some((status, serde_json::from_str(body).ok()?))
    }

    /// Sends a request. The request must succeed. Returns the JSON document of the response.
    pub(crate) fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body).unwrap_or((0, Value::Null));
        assert!((200..300).contains(&status), "the answer to {method} {path} was {status}: {answer}");
        answer
    }

    fn connect(&self) -> Option<UnixStream> {
        Owner::of(&self.socket).act(|| UnixStream::connect(&self.socket)).ok()
    }
}
