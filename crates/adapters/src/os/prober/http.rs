//! Sends one HTTP request and reads only the status of the response.

use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};

/// Maximum number of response bytes to read. Informational responses (1xx) may come before the final status.
const MAX_RESPONSE_BYTES: usize = 16 << 10;
const BLOCK: usize = 1 << 10;
const MAX_URL_LEN: usize = 8 << 10;
const DEFAULT_PORT: u16 = 80;

/// The machines that may be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeScope {
    /// Only this machine, through its loopback and unspecified addresses.
    Loopback,
    /// All machines.
    Everywhere,
}

/// Reason why a probe returned no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The URL is not a valid `http` URL.
    #[error("a readiness check supports only URLs of the form http://host[:port][/path]")]
    Url,
    /// The host is a machine that may not be probed, or its name has no address.
    #[error("a readiness check may contact only this machine, but {host} is another machine")]
    Host { host: String },
    /// The response is not valid HTTP, or its informational responses are too long.
    #[error("the response to the readiness check is not valid HTTP")]
    Answer,
    /// The connection could not be opened or was lost.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Requests a URL and returns the status of the response. Does not read the body.
pub(super) async fn status(url: &str, reach: ProbeScope) -> Result<u16, ProbeError> {
    let target = ProbeTarget::parse(url).ok_or(ProbeError::Url)?;
    let mut refused = ProbeError::Host { host: target.host.to_owned() };
    for address in lookup_host((target.host, target.port)).await?.filter(|address| reach.includes(*address)) {
        match TcpStream::connect(address).await {
            Ok(stream) => return ask(stream, &target).await,
            // Try the next address of the host, because the server may listen only on one of the addresses.
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

impl ProbeScope {
    fn includes(self, address: SocketAddr) -> bool {
        match (self, address.ip().to_canonical()) {
            (Self::Everywhere, _) => true,
            // The unspecified address also counts as loopback, because the kernel routes it to this machine.
            (Self::Loopback, IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
            (Self::Loopback, IpAddr::V6(address)) => address.is_loopback() || address.is_unspecified(),
        }
    }
}

/// The parts of a URL that a request needs.
#[derive(Debug, PartialEq, Eq)]
struct ProbeTarget<'a> {
    /// Host name or address, without brackets.
    host: &'a str,
    port: u16,
    /// Host and port as written in the URL.
    authority: &'a str,
    /// Path and query, without the leading slash.
    rest: &'a str,
}

impl<'a> ProbeTarget<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"))?;
        // Reject control characters, which could inject lines into the request.
        if url.len() > MAX_URL_LEN || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let behind = url.get(scheme.len()..)?;
        let behind = behind.split_once('#').map_or(behind, |(before, _)| before);
        let end = behind.find(['/', '?']).unwrap_or(behind.len());
        let (authority, rest) = behind.split_at_checked(end)?;
        if authority.contains('@') {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
                (host, port)
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        (!host.is_empty()).then_some(Self { host, port, authority, rest })
    }
}

async fn ask(mut stream: TcpStream, target: &ProbeTarget<'_>) -> Result<u16, ProbeError> {
    let ProbeTarget { authority, rest, .. } = target;
    let request = format!(
        "GET /{rest} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: longhaul\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut block = [0; BLOCK];
    loop {
        match parse_status(&answer)? {
            Some(status) => return Ok(status),
            None if answer.len() >= MAX_RESPONSE_BYTES => return Err(ProbeError::Answer),
            None => {}
        }
        let got = stream.read(&mut block).await?;
        if got == 0 {
            return Err(ProbeError::Answer);
        }
        answer.extend_from_slice(block.get(..got).unwrap_or(&block));
    }
}

/// Parses the status from the start of a response and skips informational responses (1xx). Returns `None` if more bytes
/// are needed.
fn parse_status(answer: &[u8]) -> Result<Option<u16>, ProbeError> {
    let mut rest = answer;
    loop {
        let Some(end) = find(rest, b"\n") else {
            // Fail immediately if the bytes cannot be the start of an HTTP status line.
            let begin = rest.get(..5).unwrap_or(rest);
            return if b"HTTP/".starts_with(begin) { Ok(None) } else { Err(ProbeError::Answer) };
        };
        let status = rest.get(..end).and_then(parse).ok_or(ProbeError::Answer)?;
        if !(100..200).contains(&status) {
            return Ok(Some(status));
        }
        match find(rest, b"\r\n\r\n") {
            Some(end) => rest = rest.get(end.saturating_add(4)..).unwrap_or(&[]),
            None => return Ok(None),
        }
    }
}

fn parse(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.strip_prefix("HTTP/")?.split_once(' ')?;
    let digits = rest.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    version.starts_with('1').then(|| digits.parse().ok()).flatten()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Answers one request with these bytes. Returns the result of `status` and the text of the request.
    async fn served(answer: &'static [u8], path: &str) -> (Result<u16, ProbeError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}{path}", listener.local_addr().unwrap().port());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while find(&request, b"\r\n\r\n").is_none() {
                stream.read_buf(&mut request).await.unwrap();
            }
            // An error is ignored, because the client may close the connection before it has received all bytes.
            drop(stream.write_all(answer).await);
            String::from_utf8(request).unwrap()
        };
        tokio::join!(status(&url, ProbeScope::Loopback), server)
    }

    #[tokio::test]
    async fn status_is_that_of_the_answer_and_not_of_its_announcements() {
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], 200),
            (b"HTTP/1.0 404\r\n\r\n", 404),
            (b"HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\n\r\n", 302),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 503 No\r\n\r\n",
                503,
            ),
        ] {
            assert_eq!(served(answer, "/").await.0.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_response_that_is_not_http_has_no_status() {
        for answer in [&b""[..], b"220 mail\r\n", b"HTTP/1.1 2", b"HTTP/2 200\r\n", b"SSH-2.0-x"] {
            assert!(
                matches!(served(answer, "/").await.0, Err(ProbeError::Answer | ProbeError::Io(_))),
                "{answer:?}"
            );
        }
        static ENDLESS: [u8; 2 * MAX_RESPONSE_BYTES] = [b'H'; 2 * MAX_RESPONSE_BYTES];
        assert!(served(&ENDLESS, "/").await.0.is_err());
    }

    #[tokio::test]
    async fn request_names_path_and_host() {
        let (_, request) = served(b"HTTP/1.1 204 N\r\n\r\n", "/live?deep=1#part").await;
        assert!(request.starts_with("GET /live?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        let (_, request) = served(b"HTTP/1.1 204 N\r\n\r\n", "").await;
        assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    }

    #[tokio::test]
    async fn other_machines_are_not_asked() {
        for host in ["192.0.2.1", "[2001:db8::1]", "[::ffff:192.0.2.1]"] {
            let refused = status(&format!("http://{host}:9/"), ProbeScope::Loopback).await;
            assert!(matches!(refused, Err(ProbeError::Host { .. })), "{refused:?}");
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |url| ProbeTarget::parse(url).map(|target| (target.host, target.port, target.rest));
        assert_eq!(parts("http://localhost:8080/a/b?c"), Some(("localhost", 8080, "a/b?c")));
        assert_eq!(parts("HTTP://localhost"), Some(("localhost", 80, "")));
        assert_eq!(parts("http://[::1]:3000/x"), Some(("::1", 3000, "x")));
        assert_eq!(parts("http://[::1]"), Some(("::1", 80, "")));
        assert_eq!(parts("http://localhost?x=1"), Some(("localhost", 80, "?x=1")));
        for url in [
            "https://localhost/",
            "localhost:80",
            "http://",
            "http://:80/",
            "http://a:99999/",
            "http://a:/",
            "http://user@a/",
            "http://a/\r\nX: y",
            "http://a/b c",
            "http://[::1/",
            "http://[::1]80/",
            "ftp://a/",
        ] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}
