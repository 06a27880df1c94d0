//! HTTP/1.1 client that talks to the manager over its Unix socket.

mod content;
mod events;
mod frames;
mod path;
mod socket;
mod stopped;

pub use content::ContentStream;
pub use events::{EventStream, ServerEvent};
pub use frames::FrameStream;
pub use path::RequestPath;

use crate::error::ClientError;
use crate::manager_locator::{Autostart, ManagerLocator, StartError};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use longhaul_wire::api::{PROTOCOL, PROTOCOL_HEADER, Problem};
use longhaul_wire::output::NOTES_HEADER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Time limit of an ordinary request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Waiting time after which the user is informed why the response is late.
const SILENCE: Duration = Duration::from_secs(2);
/// Time during which a request is repeated after a broken connection. A manager that was killed may still accept
/// connections for a moment.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay before a request is sent again after the manager has broken the connection.
const STEP: Duration = Duration::from_millis(10);
/// Maximum number of characters that are quoted from an error response whose format is unknown.
const MAX_QUOTE_LEN: usize = 200;

/// Client of the manager at one socket.
pub struct Client {
    socket: PathBuf,
    state_dir: PathBuf,
    autostart: Option<Autostart>,
    time_limit: Duration,
    /// Process id of the manager that accepted the last connection; 0 if it is not known.
    manager: AtomicU32,
    /// Function that prints why a response is late.
    explain: Option<fn(&str)>,
}

impl Client {
    /// Creates a client. The client starts a manager when needed if `place` contains a function that starts one.
    pub fn new(place: ManagerLocator) -> Self {
        Self {
            socket: place.socket,
            state_dir: place.state_dir,
            autostart: place.autostart,
            time_limit: REQUEST_TIMEOUT,
            manager: AtomicU32::new(0),
            explain: None,
        }
    }

    /// Sets the function that prints why a response is late.
    #[must_use]
    pub const fn with_explanations(mut self, explain: fn(&str)) -> Self {
        self.explain = Some(explain);
        self
    }

    /// Sets the time limit of ordinary requests.
    #[must_use]
    pub const fn with_time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Returns the path of the manager's socket.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Sends a GET request with the usual time limit.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &RequestPath) -> Result<T, ClientError> {
        self.ask(Method::GET, path, None, Some(self.time_limit)).await
    }

    /// Sends a GET request whose response the manager may delay on purpose. The client waits for `time_limit` plus the
    /// usual time limit; `None` means no limit.
    pub async fn fetch_slowly<T: DeserializeOwned>(
        &self,
        path: &RequestPath,
        time_limit: Option<Duration>,
    ) -> Result<T, ClientError> {
        let time_limit = time_limit.map(|time_limit| time_limit.saturating_add(self.time_limit));
        self.ask(Method::GET, path, None, time_limit).await
    }

    /// Sends a POST request with the usual time limit.
    pub async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &RequestPath,
        body: &B,
    ) -> Result<T, ClientError> {
        self.ask(Method::POST, path, Some(encoded(body)?), Some(self.time_limit)).await
    }

    /// Sends a POST request without a time limit.
    pub async fn send_slowly<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &RequestPath,
        body: &B,
    ) -> Result<T, ClientError> {
        self.ask(Method::POST, path, Some(encoded(body)?), None).await
    }

    /// Sends a PATCH request with the usual time limit.
    pub async fn amend<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &RequestPath,
        body: &B,
    ) -> Result<T, ClientError> {
        self.ask(Method::PATCH, path, Some(encoded(body)?), Some(self.time_limit)).await
    }

    /// Sends a DELETE request with the usual time limit.
    pub async fn remove<T: DeserializeOwned>(&self, path: &RequestPath) -> Result<T, ClientError> {
        self.ask(Method::DELETE, path, None, Some(self.time_limit)).await
    }

    /// Opens a stream of output frames.
    pub async fn stream(&self, path: &RequestPath) -> Result<FrameStream, ClientError> {
        let answer = self.answer(Method::GET, path, None, Some(self.time_limit)).await?;
        Ok(FrameStream::new(answer.into_body()))
    }

    /// Opens the content of an artifact.
    pub async fn content(&self, path: &RequestPath) -> Result<ContentStream, ClientError> {
        let answer = self.answer(Method::GET, path, None, Some(self.time_limit)).await?;
        Ok(ContentStream::new(answer.into_body()))
    }

    /// Opens a stream of server-sent events.
    pub async fn events(&self, path: &RequestPath) -> Result<EventStream, ClientError> {
        let answer = self.answer(Method::GET, path, None, Some(self.time_limit)).await?;
        Ok(EventStream::new(answer.into_body()))
    }

    /// Connects to another socket of the manager. `name` is the file name of the socket in the directory of the main
    /// socket.
    pub async fn connect_beside(&self, name: &str) -> Result<tokio::net::UnixStream, ClientError> {
        self.connect_to(&self.socket.with_file_name(name)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &RequestPath,
        body: Option<Bytes>,
        time_limit: Option<Duration>,
    ) -> Result<T, ClientError> {
        let answer = self.answer(method, path, body, time_limit).await?;
        let bytes = self.within(time_limit, whole(answer.into_body())).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Broken {
            why: format!("the reply of the manager cannot be decoded: {error}"),
        })
    }

    /// Sends a request and returns the response if its HTTP status is a success. Converts any other status to an error.
    async fn answer(
        &self,
        method: Method,
        path: &RequestPath,
        body: Option<Bytes>,
        time_limit: Option<Duration>,
    ) -> Result<Response<Incoming>, ClientError> {
        let is_question = method == Method::GET;
        let request = request(method, path, body)?;
        let answer = self.within(time_limit, async {
            if is_question { self.send_get(request).await } else { self.exchange(request).await }
        });
        let answer = answer.await?;
        self.check_protocol(&answer)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let bytes = self.within(Some(self.time_limit), whole(answer.into_body())).await?;
        Err(refusal(status, &bytes))
    }

    /// Sends a GET request. Sends the request again if the manager closes the connection without a response, because a
    /// manager that was killed may still accept connections for a moment. Repeating a GET request is safe because a GET
    /// request changes nothing.
    async fn send_get(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let until = Instant::now() + DISCONNECT_TIMEOUT;
        loop {
            match self.exchange(request.clone()).await {
                // A client that may not start another manager does not retry, but returns this error immediately.
                Err(ClientError::Broken { .. }) if self.autostart.is_some() && Instant::now() < until => {
                    sleep(STEP).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
                .await
                .map_err(broken)?;
        // The spawned task ends when the sender and the body of the response are dropped. The sender and the body also
        // report the errors of the task.
        drop(tokio::spawn(connection));
        sender.send_request(request).await.map_err(|error| {
            // A response that is not HTTP means that the program at the socket is not a manager.
            if error.is_parse() {
                ClientError::Stranger { socket: self.socket.clone() }
            } else {
                broken(error)
            }
        })
    }

    /// Waits for a response until a time limit. If a signal has stopped the manager, informs the user before the time
    /// limit is reached.
    async fn within<T>(
        &self,
        time_limit: Option<Duration>,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let mut answer = pin!(answer);
        let first = time_limit.map_or(SILENCE, |time_limit| time_limit.min(SILENCE));
        if let Ok(answer) = timeout(first, &mut answer).await {
            return answer;
        }
        if let (Some(pid), Some(explain)) = (self.stopped_manager(), self.explain) {
            explain(&format!(
                "the manager (process {pid}) is stopped by a signal and answers nothing: `kill -CONT {pid}` lets it continue"
            ));
        }
        match time_limit {
            None => answer.await,
            Some(time_limit) => {
                timeout(time_limit.saturating_sub(first), answer).await.unwrap_or_else(|_| {
                    Err(ClientError::Silent { waited: time_limit, stopped: self.stopped_manager() })
                })
            }
        }
    }

    fn stopped_manager(&self) -> Option<u32> {
        Some(self.manager.load(Ordering::Relaxed)).filter(|pid| stopped::is_stopped(*pid))
    }

    async fn connect(&self) -> Result<tokio::net::UnixStream, ClientError> {
        self.connect_to(&self.socket).await
    }

    async fn connect_to(&self, at: &std::path::Path) -> Result<tokio::net::UnixStream, ClientError> {
        let source = match socket::connect(at).await {
            Ok(stream) => return Ok(self.noted(stream)),
            Err(source) => source,
        };
        if source.kind() == std::io::ErrorKind::PermissionDenied {
            return Err(ClientError::Forbidden { socket: at.to_owned(), source });
        }
        let start = self.autostart.as_ref();
        let Some(start) = start.filter(|_| socket::means_no_listener(source.kind())) else {
            return Err(self.down(source, None));
        };
        match start() {
            Ok(()) => {}
            Err(StartError::Refused { problem }) => return Err(ClientError::Problem { problem }),
            Err(error) => return Err(self.down(source, Some(error))),
        }
        let stream = socket::connect(at).await.map_err(|source| self.down(source, None))?;
        Ok(self.noted(stream))
    }

    /// Stores the process id of the manager that accepted the connection.
    fn noted(&self, stream: tokio::net::UnixStream) -> tokio::net::UnixStream {
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| pid.try_into().ok());
        self.manager.store(pid.unwrap_or(0), Ordering::Relaxed);
        stream
    }

    fn down(&self, source: std::io::Error, started: Option<StartError>) -> ClientError {
        ClientError::Down { socket: self.socket.clone(), state_dir: self.state_dir.clone(), started, source }
    }

    fn check_protocol(&self, answer: &Response<Incoming>) -> Result<(), ClientError> {
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        match header(PROTOCOL_HEADER) {
            None => Err(ClientError::Stranger { socket: self.socket.clone() }),
            Some(theirs) if theirs.parse() == Ok(PROTOCOL) => Ok(()),
            Some(theirs) => Err(ClientError::Protocol {
                theirs: theirs.to_owned(),
                manager: header("longhaul-version").map(str::to_owned),
            }),
        }
    }
}

fn encoded<B: Serialize>(body: &B) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|source| ClientError::NotJson { source })
}

fn request(
    method: Method,
    path: &RequestPath,
    body: Option<Bytes>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path.as_str())
        .header(HOST, "longhaul")
        .header(ACCEPT, "application/json")
        .header(NOTES_HEADER, "1");
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request
        .body(Full::new(body.unwrap_or_default()))
        .map_err(|error| ClientError::InvalidPath { path: path.as_str().to_owned(), why: error.to_string() })
}

async fn whole(body: Incoming) -> Result<Bytes, ClientError> {
    Ok(body.collect().await.map_err(broken)?.to_bytes())
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let mut problem = problem.filter(|problem| !problem.slug.is_empty()).unwrap_or_else(|| Problem {
        slug: "internal".to_owned(),
        title: format!("the manager answered with {status}"),
        detail: Some(String::from_utf8_lossy(body).chars().take(MAX_QUOTE_LEN).collect::<String>())
            .filter(|text| !text.trim().is_empty()),
        ..Problem::default()
    });
    problem.status = status.as_u16();
    ClientError::from(problem)
}

fn broken(error: hyper::Error) -> ClientError {
    let why = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    ClientError::Broken { why }
}

#[cfg(any(test, feature = "fake"))]
pub mod fake;
#[cfg(test)]
mod tests;
