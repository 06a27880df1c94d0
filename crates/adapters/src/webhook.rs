//! Letters over HTTP, and bookmarks in files: what the courier needs of this machine.

mod bookmarks;
mod trust;

pub use bookmarks::FileBookmarks;
pub use trust::TrustError;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use longhaul_ports::{Letter, Post, PostError, Receipt};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use trust::{connector, server_name};

/// The most bytes of the head of an answer.
const LARGEST_HEAD: usize = 64 * 1_024;

/// How letters are carried.
#[derive(Clone, Debug)]
pub struct PostOptions {
    /// The certificates that are trusted, in PEM; those of this machine without it.
    pub authorities: Option<PathBuf>,
    /// From the first byte sent to the head of the answer, the way there included.
    pub patience: Duration,
}

impl Default for PostOptions {
    fn default() -> Self {
        Self { authorities: None, patience: Duration::from_secs(30) }
    }
}

/// Carries letters over HTTP, each on a connection of its own.
pub struct HttpPost {
    connector: Result<TlsConnector, TrustError>,
    patience: Duration,
}

impl HttpPost {
    /// Finds out whom to trust. Where nobody can be trusted, letters to `https` addresses say so when they are sent.
    #[must_use]
    pub fn new(options: &PostOptions) -> Self {
        Self { connector: connector(options.authorities.as_deref()), patience: options.patience }
    }

    async fn carry(&self, letter: &Letter) -> Result<Receipt, PostError> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| PostError::Unreachable {
            address: letter.address.clone(),
            source,
        };
        let uri: Uri = letter.address.parse().map_err(unusable)?;
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return Err(PostError::Unusable { why: "its address names no host".to_owned() });
        };
        let is_secret = *scheme == Scheme::HTTPS;
        let port = uri.port_u16().unwrap_or(if is_secret { 443 } else { 80 });
        let request = request(letter, &uri)?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, port)).await.map_err(|error| unreachable(error.into()))?;
        // A letter is one small write, and nobody gains by its waiting.
        let _ = stream.set_nodelay(true);
        if !is_secret {
            return exchange(stream, request).await.map_err(|error| unreachable(error.into()));
        }
        let connector = match &self.connector {
            Ok(connector) => connector,
            Err(error) => return Err(unreachable(error.to_string().into())),
        };
        let name = server_name(name).map_err(unusable)?;
        let stream = connector.connect(name, stream).await.map_err(|error| unreachable(error.into()))?;
        exchange(stream, request).await.map_err(|error| unreachable(error.into()))
    }
}

#[async_trait]
impl Post for HttpPost {
    async fn post(&self, letter: &Letter) -> Result<Receipt, PostError> {
        match timeout(self.patience, self.carry(letter)).await {
            Ok(answer) => answer,
            Err(_) => Err(PostError::Silent { address: letter.address.clone() }),
        }
    }
}

impl std::fmt::Debug for HttpPost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpPost").field("patience", &self.patience).finish_non_exhaustive()
    }
}

fn request(letter: &Letter, uri: &Uri) -> Result<Request<Full<Bytes>>, PostError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or_else(String::new, ToString::to_string);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(letter.body.clone())))
        .map_err(unusable)?;
    for (name, value) in &letter.headers {
        let name: HeaderName = name.parse().map_err(unusable)?;
        let value: HeaderValue = value.parse().map_err(unusable)?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

fn unusable(error: impl std::error::Error) -> PostError {
    PostError::Unusable { why: error.to_string() }
}

/// Sends one request and reads the head of its answer; what follows it is nobody's business.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Receipt, hyper::Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(LARGEST_HEAD).handshake(TokioIo::new(stream)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    let answer = tokio::select! {
        answer = &mut answer => answer?,
        ended = &mut connection => {
            ended?;
            answer.await?
        }
    };
    Ok(Receipt { status: answer.status().as_u16(), retry_after: retry_after(answer.headers()) })
}

/// What it says in seconds; a date is not worth the trouble.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
