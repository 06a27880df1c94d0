//! Plain HTTP over the socket of a manager, as clients in any language can use it.

use longhaul_tests::Home;
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Sends a request to the manager of a state directory. Returns the status code and the body.
pub(crate) fn http(home: &Home, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = UnixStream::connect(home.state().join("longhaul.sock")).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: longhaul\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (code, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Runs a command whose output is one JSON document, and parses it.
pub(crate) fn json_of(home: &Home, args: &[&str]) -> Value {
    serde_json::from_str(&home.ok(args)).unwrap()
}

/// Writes a configuration, which applies to the next manager that starts with this state directory.
pub(crate) fn configure(home: &Home, toml: &str) {
    let dir = home.state().parent().unwrap().join("config/longhaul");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("config.toml"), toml).unwrap();
}

/// Returns the process ids in a list response.
pub(crate) fn ids(listing: &Value) -> Vec<String> {
    let id = |process: &Value| process["id"].as_str().unwrap().to_owned();
    listing["processes"].as_array().unwrap().iter().map(id).collect()
}

/// Reads a stream of JSON lines to its end.
pub(crate) fn lines_of(home: &Home, path: &str) -> Vec<Value> {
    let mut stream = Stream::open(home, path);
    std::iter::from_fn(|| stream.next()).collect()
}

/// A response stream that does not end: server-sent events or JSON lines.
#[derive(Debug)]
pub(crate) struct Stream(Lines<BufReader<UnixStream>>);

impl Stream {
    /// Opens the stream.
    pub(crate) fn open(home: &Home, path: &str) -> Self {
        let mut stream = UnixStream::connect(home.state().join("longhaul.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // Use HTTP/1.0, because it has no chunked bodies.
        write!(stream, "GET {path} HTTP/1.0\r\nhost: longhaul\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.next().unwrap().unwrap().contains(" 200 "), "{path}");
        let _head = lines.by_ref().find(|line| line.as_ref().is_ok_and(String::is_empty));
        Self(lines)
    }

    /// Returns the next item that matches a condition.
    pub(crate) fn until(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        self.find(is).unwrap()
    }
}

impl Iterator for Stream {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.0.next()?.unwrap();
            let text = line.strip_prefix("data: ").unwrap_or(&line);
            if text.starts_with('{') {
                return Some(serde_json::from_str(text).unwrap());
            }
        }
    }
}
