//! A webhook receiver on this machine. It gives a fixed response and records all requests.

use crate::fakes::locked;
use crate::suite::must;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Behaviour of a receiver after its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiverBehavior {
    /// The receiver waits for the next request.
    Reads,
    /// The receiver closes the connection.
    HangsUp,
    /// The receiver keeps the connection open and sends nothing more.
    Stays,
}

/// A webhook receiver on this machine.
#[derive(Debug)]
pub(super) struct TestReceiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    task: JoinHandle<()>,
}

/// A received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReceivedRequest {
    /// Request line, such as `POST /path HTTP/1.1`.
    pub(super) line: String,
    /// Headers; the names are in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl TestReceiver {
    /// Starts a receiver that sends `answer` to every request.
    pub(super) async fn saying(answer: &str, then: ReceiverBehavior) -> Self {
        let listener = must(TcpListener::bind("127.0.0.1:0").await);
        let address = must(listener.local_addr());
        let requests = Arc::<Mutex<Vec<ReceivedRequest>>>::default();
        let (answer, noted) = (Arc::<str>::from(answer), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The task of a connection ends when the client closes the connection, or when the runtime ends.
                drop(tokio::spawn(serve(stream, Arc::clone(&answer), then, Arc::clone(&noted))));
            }
        });
        Self { address, requests, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<ReceivedRequest> {
        locked(&self.requests).clone()
    }
}

impl Drop for TestReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ReceivedRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    /// Parses the request at the start of the received bytes. Returns the request and its length in bytes, or `None`
    /// if the request is not complete.
    fn parsed(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
        let mut lines = head.lines();
        let line = lines.next()?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let whole = end + length.and_then(|(_, length)| length.parse::<usize>().ok()).unwrap_or(0);
        let body = bytes.get(end..whole)?.to_vec();
        Some((Self { line, headers, body }, whole))
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<str>,
    then: ReceiverBehavior,
    noted: Arc<Mutex<Vec<ReceivedRequest>>>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some((request, length)) = ReceivedRequest::parsed(&bytes) else {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        bytes.drain(..length);
        locked(&noted).push(request);
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        match then {
            ReceiverBehavior::Reads => {}
            ReceiverBehavior::HangsUp => return,
            ReceiverBehavior::Stays => pending().await,
        }
    }
}
