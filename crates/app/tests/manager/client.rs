//! HTTP client for tests, which sends exactly the given bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// Client for one network address of a manager.
pub(crate) struct Web {
    pub(crate) address: String,
}

/// Response of a manager.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Headers, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Time limit for reads and writes. It is so long that only a hanging manager exceeds it.
const TIMEOUT: Duration = Duration::from_secs(20);

impl Web {
    pub(crate) fn at(url: &str) -> Self {
        Self { address: url.split_once("://").unwrap().1.to_owned() }
    }

    pub(crate) fn port(&self) -> &str {
        self.address.rsplit_once(':').unwrap().1
    }

    /// Returns the `Host` header with the address of the manager.
    pub(crate) fn host(&self) -> String {
        format!("Host: {}", self.address)
    }

    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.ask("GET", path, headers, "")
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Reply {
        let mut stream = self.connect();
        send(&mut stream, method, path, headers, body);
        Reply::of_one(&mut stream)
    }

    /// Sends a request over TLS. Only the given certificate is trusted.
    pub(crate) fn over_tls(&self, trusted: &[u8], path: &str, headers: &[&str]) -> Reply {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.to_vec().into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connection =
            rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, self.connect());
        send(&mut stream, "GET", path, headers, "");
        let reply = Reply::of_one(&mut stream);
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        reply
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream
    }
}

fn send(stream: &mut impl Write, method: &str, path: &str, headers: &[&str], body: &str) {
    let tells_itself =
        body.is_empty() || headers.iter().any(|header| header.starts_with("Transfer-Encoding"));
    let length = if tells_itself { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}{length}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // The manager may refuse the request after it has read the head, and then close the connection. A write error is
    // therefore ignored.
    let _ = stream.write_all(body.as_bytes());
}

impl Reply {
    /// Reads one response, whose body length is in its `Content-Length` header.
    pub(crate) fn of_one(stream: &mut impl Read) -> Self {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("an answer");
            text.push(byte[0]);
        }
        let head = String::from_utf8(text).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Self { status, headers, body: Vec::new() };
        let length = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        reply.body = vec![0; length];
        stream.read_exact(&mut reply.body).unwrap();
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the error code in the body of the response.
    pub(crate) fn slug(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}
