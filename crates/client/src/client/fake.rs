//! Simulated manager for tests, which sends prepared responses over a real socket.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use super::Client;
use crate::manager_locator::ManagerLocator;
use longhaul_wire::api::{PROTOCOL_HEADER, ProcessView};
use longhaul_wire::output::{FrameKind, OutputFrame};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::LocalSet;

/// Received request: method, path with query, and body.
#[derive(Clone, Debug)]
pub struct FakeRequest {
    /// HTTP method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Body of the request; empty if it has none.
    pub body: String,
}

/// Response of the simulated manager to a request.
pub enum FakeResponse {
    /// HTTP status with a JSON body.
    Json(u16, serde_json::Value),
    /// A stream of chunks, after which the connection is closed. The terminating chunk is sent only if `proper` is
    /// true.
    Stream {
        /// Chunks of the stream.
        pieces: Vec<Vec<u8>>,
        /// True if a terminating chunk is sent.
        proper: bool,
    },
    /// A stream that sends the chunk `first` immediately, and the chunk `rest` as soon as `may_go_on` is true.
    Held {
        /// Bytes that are sent immediately.
        first: Vec<u8>,
        /// Set to true by the test to release the rest.
        may_go_on: Rc<Cell<bool>>,
        /// Bytes that are sent later.
        rest: Vec<u8>,
    },
    /// Raw bytes in place of an HTTP response.
    Raw(Vec<u8>),
    /// No response is ever sent.
    Silence,
}

/// Creates the responses of the simulated manager. It is a trait object, because the compiler would make a copy of the
/// server for each type, which takes a minute.
type Answer = Rc<dyn Fn(&FakeRequest) -> FakeResponse>;

/// Simulated manager for tests.
pub struct FakeManager {
    top: TempDir,
    asked: Rc<RefCell<Vec<FakeRequest>>>,
}

impl FakeManager {
    /// Runs a test against a simulated manager that creates its responses with `answer`.
    pub fn run<T, F: Future<Output = T>>(
        answer: impl Fn(&FakeRequest) -> FakeResponse + 'static,
        test: impl FnOnce(Rc<Self>) -> F,
    ) -> T {
        let answer: Answer = Rc::new(answer);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(async {
            let top = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(top.path().join("longhaul.sock")).unwrap();
            let fake = Rc::new(Self { top, asked: Rc::default() });
            tokio::task::spawn_local(serve(listener, answer, Rc::clone(&fake.asked)));
            let limit = tokio::time::timeout(Duration::from_secs(30), test(fake));
            limit.await.expect("the test ends in time")
        });
        LocalSet::new().block_on(&runtime, body)
    }

    /// Creates a client of this manager, with a time limit of 10 s for each request.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(ManagerLocator {
            socket: self.top.path().join("longhaul.sock"),
            state_dir: self.top.path().to_owned(),
            autostart: None,
            store: None,
        })
        .with_time_limit(Duration::from_secs(10))
    }

    /// Returns all requests received so far, each as text in the form `METHOD path`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// Returns the bodies of all requests received so far.
    pub fn bodies(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|asked| asked.body.clone()).collect()
    }
}

/// Returns a response that contains one process.
pub fn process(process: &ProcessView) -> FakeResponse {
    FakeResponse::Json(200, serde_json::to_value(process).unwrap())
}

/// Returns an error response with this HTTP status and error code.
pub fn problem(status: u16, slug: &str) -> FakeResponse {
    FakeResponse::Json(
        status,
        serde_json::json!({"type": slug, "title": format!("it is {slug}"), "status": status}),
    )
}

/// Encodes output frames. Each element consists of kind, offset and bytes.
pub fn frames(frames: &[(FrameKind, u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, offset, bytes) in frames {
        OutputFrame { kind: *kind, offset: *offset, at: 0, bytes: bytes.to_vec() }.encode(&mut out);
    }
    out
}

/// Returns a response that sends a complete output stream in one chunk.
pub fn output(all: &[(FrameKind, u64, &[u8])]) -> FakeResponse {
    FakeResponse::Stream { pieces: vec![frames(all)], proper: true }
}

/// Waits until the condition is true. This function has no time limit of its own; the time limit of the whole test
/// applies.
pub async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

async fn serve(listener: UnixListener, answer: Answer, asked: Rc<RefCell<Vec<FakeRequest>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(converse(stream, Rc::clone(&answer), Rc::clone(&asked)));
    }
}

async fn converse(mut stream: UnixStream, answer: Answer, asked: Rc<RefCell<Vec<FakeRequest>>>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    asked.borrow_mut().push(request.clone());
    let head = |status: u16, rest: &str| format!("HTTP/1.1 {status} X\r\n{PROTOCOL_HEADER}: 1\r\n{rest}\r\n");
    match answer(&request) {
        FakeResponse::Json(status, body) => {
            let body = body.to_string();
            let head = head(status, &format!("content-length: {}\r\n", body.len()));
            let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        FakeResponse::Raw(bytes) => {
            let _gone = stream.write_all(&bytes).await;
        }
        FakeResponse::Stream { pieces, proper } => {
            let _gone = stream.write_all(head(200, "transfer-encoding: chunked\r\n").as_bytes()).await;
            for piece in pieces {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(&piece);
                chunk.extend_from_slice(b"\r\n");
                let _gone = stream.write_all(&chunk).await;
                // Sends each chunk after a pause, so that the reader can receive it separately.
                tokio::task::yield_now().await;
            }
            if proper {
                let _gone = stream.write_all(b"0\r\n\r\n").await;
            }
        }
        FakeResponse::Held { first, may_go_on, rest } => {
            let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
            let head = head(200, "transfer-encoding: chunked\r\n");
            let _gone = stream.write_all(&[head.as_bytes(), &chunk(&first)].concat()).await;
            until(|| may_go_on.get()).await;
            let _gone = stream.write_all(&[&chunk(&rest), &b"0\r\n\r\n"[..]].concat()).await;
        }
        FakeResponse::Silence => std::future::pending().await,
    }
}

async fn read(stream: &mut UnixStream) -> Option<FakeRequest> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
            .find_map(|length| length.parse::<usize>().ok())
            .unwrap_or(0);
        if body.len() >= length {
            let mut words = head.split(' ');
            return Some(FakeRequest {
                method: words.next()?.to_owned(),
                path: words.next()?.to_owned(),
                body: body.to_owned(),
            });
        }
    }
}
