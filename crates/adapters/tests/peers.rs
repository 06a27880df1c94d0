//! Tests of requests to other nodes, and to servers that are not nodes.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use longhaul_adapters::peers::HttpPeerTransport;
use longhaul_ports::{PeerError, PeerHttpRequest, PeerResponse, PeerTransport};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

const TIMEOUT: Duration = Duration::from_millis(500);
/// Time limit of one request. It is so long that only a request that hangs exceeds it.
const BOUND: Duration = Duration::from_secs(10);

fn call(address: &str, body: Option<&str>) -> PeerHttpRequest {
    PeerHttpRequest {
        address: address.to_owned(),
        target: "/v1/processes/x/text?cursor=a%20b".to_owned(),
        headers: vec![("longhaul-peer".to_owned(), "1 proof".to_owned())],
        body: body.map(|body| body.as_bytes().to_vec()),
        time_limit: TIMEOUT,
    }
}

async fn ask(call: &PeerHttpRequest) -> Result<PeerResponse, PeerError> {
    let peers = HttpPeerTransport::default();
    tokio::time::timeout(BOUND, peers.ask(call)).await.unwrap()
}

async fn whole(mut answer: PeerResponse) -> Result<String, PeerError> {
    let mut all = Vec::new();
    while let Some(bytes) = answer.body.next().await? {
        assert!(!bytes.is_empty());
        all.extend(bytes);
    }
    Ok(String::from_utf8(all).unwrap())
}

/// Reads one request until it ends with the bytes `asked`, sends the answer, and returns the request.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], asked: &[u8]) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(asked) {
        let mut piece = [0; 1_024];
        let length = stream.read(&mut piece).await.unwrap();
        bytes.extend(piece.get(..length).filter(|piece| !piece.is_empty()).unwrap());
    }
    stream.write_all(answer).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn node(answer: &'static [u8], asked: &'static [u8]) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move { serve(listener.accept().await.unwrap().0, answer, asked).await });
    (address, served)
}

#[tokio::test]
async fn question_and_answer_go_through_as_they_are() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let (address, served) = node(answer, b"\r\n\r\n").await;
    let answered = ask(&call(&address, None)).await.unwrap();
    assert_eq!(answered.status, 200);
    assert_eq!(whole(answered).await.unwrap(), "hello");
    let asked = served.await.unwrap();
    assert!(asked.starts_with("GET /v1/processes/x/text?cursor=a%20b HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("longhaul-peer: 1 proof\r\n"), "{asked}");
    let host = address.strip_prefix("http://").unwrap();
    assert!(asked.contains(&format!("host: {host}\r\n")), "{asked}");
    let (address, served) = node(answer, b"{\"a\":1}").await;
    ask(&call(&address, Some("{\"a\":1}"))).await.unwrap();
    assert!(served.await.unwrap().starts_with("POST /v1/"));
}

#[tokio::test]
async fn socket_of_the_same_user_is_asked() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let served = tokio::spawn(async move {
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        serve(listener.accept().await.unwrap().0, answer, b"\r\n\r\n").await
    });
    let answered = ask(&call(&format!("http+unix://{}", path.display()), None)).await.unwrap();
    assert_eq!((answered.status, whole(answered).await.unwrap().as_str()), (404, "{}"));
    assert!(served.await.unwrap().contains("host: localhost\r\n"));
    let gone = ask(&call("http+unix:///nowhere/at/all", None)).await;
    assert!(matches!(gone, Err(PeerError::Unreachable { .. })), "{gone:?}");
}

#[tokio::test]
async fn redirect_is_an_answer_like_any_other() {
    let (target, _served) = node(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"\r\n\r\n").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let answer = format!("HTTP/1.1 307 Moved\r\nlocation: {target}/\r\ncontent-length: 0\r\n\r\n");
        serve(listener.accept().await.unwrap().0, answer.as_bytes(), b"\r\n\r\n").await
    });
    assert_eq!(ask(&call(&address, None)).await.unwrap().status, 307);
}

#[tokio::test]
async fn silent_and_broken_connections_are_reported_in_time() {
    let begun = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // The kernel accepts the connection, but no program reads the request. This simulates a halted node.
    let silent = ask(&call(&address, None)).await;
    assert!(matches!(silent, Err(PeerError::Silent { .. })), "{silent:?}");
    drop(listener);
    let closed = ask(&call(&address, None)).await;
    assert!(matches!(closed, Err(PeerError::Unreachable { .. })), "{closed:?}");
    let (address, _served) = node(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", b"\r\n\r\n").await;
    let broken = whole(ask(&call(&address, None)).await.unwrap()).await;
    assert!(matches!(broken, Err(PeerError::Unreachable { .. })), "{broken:?}");
    let (address, _served) = node(b"SSH-2.0-OpenSSH\r\n\r\n", b"\r\n\r\n").await;
    let stranger = ask(&call(&address, None)).await;
    assert!(matches!(stranger, Err(PeerError::Unreachable { .. })), "{stranger:?}");
    assert!(begun.elapsed() < BOUND);
}

#[tokio::test]
async fn endless_head_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(&[b"x: ".as_slice(), &[b'y'; 1_000], b"\r\n"].concat()).await.is_ok() {}
    });
    let endless = ask(&call(&address, None)).await;
    assert!(matches!(endless, Err(PeerError::Unreachable { .. } | PeerError::Silent { .. })), "{endless:?}");
}

#[tokio::test]
async fn address_that_is_none_is_said_to_be_none() {
    for address in ["", "http://", "http://a b"] {
        let unusable = ask(&call(address, None)).await;
        assert!(unusable.is_err(), "{address}: {unusable:?}");
    }
    let header = PeerHttpRequest {
        headers: vec![("x\r\ny".to_owned(), "z".to_owned())],
        ..call("http://127.0.0.1:9", None)
    };
    let unusable = ask(&header).await;
    assert!(matches!(unusable, Err(PeerError::Unusable { .. })), "{unusable:?}");
    let value = PeerHttpRequest {
        headers: vec![("x".to_owned(), "z\r\ny: 1".to_owned())],
        ..call("http://127.0.0.1:9", None)
    };
    assert!(matches!(ask(&value).await, Err(PeerError::Unusable { .. })));
}
