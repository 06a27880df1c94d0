//! Plain HTTP over the socket of a manager, as a client in any language speaks it.

use longhaul_tests::Home;
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// Asks the manager of a home; gives the status code and the body.
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

/// Reads an answer of the command line that is one JSON document.
pub(crate) fn json_of(home: &Home, args: &[&str]) -> Value {
    serde_json::from_str(&home.ok(args)).unwrap()
}

/// Writes the configuration that the next manager of a home reads.
pub(crate) fn configure(home: &Home, toml: &str) {
    let dir = home.state().parent().unwrap().join("config/longhaul");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("config.toml"), toml).unwrap();
}

/// The ids in a listing.
pub(crate) fn ids(listing: &Value) -> Vec<String> {
    let id = |process: &Value| process["id"].as_str().unwrap().to_owned();
    listing["processes"].as_array().unwrap().iter().map(id).collect()
}
