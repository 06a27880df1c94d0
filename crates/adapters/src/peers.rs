//! Requests to other nodes over TCP and Unix sockets.

pub use crate::trust::TrustError;

use crate::trust::{connector, server_name};
use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use longhaul_ports::{PeerBody, PeerError, PeerHttpRequest, PeerResponse, PeerTransport};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Maximum time to wait for a connection to another node.
const CONNECT: Duration = Duration::from_secs(2);
/// Maximum size of the head of a response, and of the read buffer, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1_024;
/// URL prefix of a Unix socket address.
const SOCKET: &str = "http+unix://";

/// Sends requests to other nodes. Each request uses its own connection.
pub struct HttpPeerTransport {
    connector: Result<TlsConnector, TrustError>,
}

type Cause = Box<dyn Error + Send + Sync>;

impl Default for HttpPeerTransport {
    /// Trusts the CA certificates of this machine. If the machine has no CA certificates, requests to `https` addresses
    /// fail.
    fn default() -> Self {
        Self { connector: connector(None) }
    }
}

impl HttpPeerTransport {
    /// Trusts the CA certificates of a PEM file.
    ///
    /// # Errors
    /// Returns a [`TrustError`] if the file contains no usable certificates.
    pub fn trusting(authorities: &Path) -> Result<Self, TrustError> {
        connector(Some(authorities)).map(|connector| Self { connector: Ok(connector) })
    }

    async fn line(&self, call: &PeerHttpRequest) -> Result<PeerConnection, PeerError> {
        let untrusted = |source: Cause| PeerError::Untrusted { address: call.address.clone(), source };
        let unreachable = |source: Cause| match is_of_trust(&source) {
            true => untrusted(source),
            false => PeerError::Unreachable { address: call.address.clone(), source },
        };
        if let Some(path) = call.address.strip_prefix(SOCKET) {
            let stream = in_time(async { own_socket(Path::new(path)).await }).await.map_err(unreachable)?;
            return PeerConnection::open(stream).await.map_err(|error| unreachable(error.into()));
        }
        let uri: Uri = call.address.parse().map_err(|error| unusable(call, &error))?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_secret = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secret { 443 } else { 80 });
        let trusted = match (is_secret, &self.connector) {
            (false, _) => None,
            (true, Ok(connector)) => {
                Some((connector, server_name(&host).map_err(|error| unusable(call, &error))?))
            }
            (true, Err(error)) => return Err(untrusted(error.to_string().into())),
        };
        let opened = in_time(async {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            // A request is one small write, so a delay would save no packets.
            let _ = stream.set_nodelay(true);
            Ok(match trusted {
                None => PeerConnection::open(stream).await?,
                Some((connector, name)) => {
                    PeerConnection::open(connector.connect(name, stream).await?).await?
                }
            })
        });
        opened.await.map_err(unreachable)
    }
}

#[async_trait]
impl PeerTransport for HttpPeerTransport {
    async fn ask(&self, call: &PeerHttpRequest) -> Result<PeerResponse, PeerError> {
        let request = request(call)?;
        let mut line = self.line(call).await?;
        match timeout(call.time_limit, line.sender.send_request(request)).await {
            Ok(Ok(answer)) => Ok(line.answered(call, answer)),
            Ok(Err(error)) => {
                Err(PeerError::Unreachable { address: call.address.clone(), source: error.into() })
            }
            Err(_) => Err(PeerError::Silent { address: call.address.clone() }),
        }
    }
}

impl fmt::Debug for HttpPeerTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPeerTransport").finish_non_exhaustive()
    }
}

/// A connection for one request.
struct PeerConnection {
    sender: http1::SendRequest<Full<Bytes>>,
    held: ConnectionGuard,
}

/// A connection that is closed when the response is dropped.
#[derive(Debug)]
struct ConnectionGuard(AbortHandle);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PeerConnection {
    async fn open<S>(stream: S) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
        // If the connection fails, the pending request returns the error.
        let conversation = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, held: ConnectionGuard(conversation.abort_handle()) })
    }

    fn answered(self, call: &PeerHttpRequest, answer: Response<Incoming>) -> PeerResponse {
        let status = answer.status().as_u16();
        let address = call.address.clone();
        PeerResponse {
            status,
            body: Box::new(PeerResponseBody { address, incoming: answer.into_body(), _held: self.held }),
        }
    }
}

#[derive(Debug)]
struct PeerResponseBody {
    address: String,
    incoming: Incoming,
    _held: ConnectionGuard,
}

#[async_trait]
impl PeerBody for PeerResponseBody {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PeerError> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|error| PeerError::Unreachable {
                address: self.address.clone(),
                source: error.into(),
            })?;
            if let Ok(bytes) = frame.into_data()
                && !bytes.is_empty()
            {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }
}

fn request(call: &PeerHttpRequest) -> Result<Request<Full<Bytes>>, PeerError> {
    let (method, body) = match &call.body {
        Some(body) => (Method::POST, body.clone()),
        None => (Method::GET, Vec::new()),
    };
    let host = match call.address.split_once("://") {
        Some((scheme, host)) if scheme != "http+unix" => host,
        Some(_) | None => "localhost",
    };
    let target: Uri = call.target.parse().map_err(|error| unusable(call, &error))?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| unusable(call, &error))?;
    for (name, value) in &call.headers {
        let name: HeaderName = name.parse().map_err(|error| unusable(call, &error))?;
        let value: HeaderValue = value.parse().map_err(|error| unusable(call, &error))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// Connects to a Unix socket that belongs to the user of this program. Rejects the socket of another user, because that
/// user could have put it at the address of a node.
async fn own_socket(path: &Path) -> Result<UnixStream, Cause> {
    let stream = UnixStream::connect(path).await?;
    let (owner, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    if owner != own {
        return Err(format!("the socket belongs to the user {owner} instead of {own}").into());
    }
    Ok(stream)
}

/// Returns true if the handshake failed because the certificate of the server is invalid or not trusted.
fn is_of_trust(cause: &Cause) -> bool {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let refused = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(refused, Some(rustls::Error::InvalidCertificate(_)))
}

async fn in_time<T>(connecting: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
    match timeout(CONNECT, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("the connection was not established within {} s", CONNECT.as_secs()).into()),
    }
}

fn unusable(call: &PeerHttpRequest, error: &dyn Error) -> PeerError {
    PeerError::Unusable { address: call.address.clone(), why: error.to_string() }
}
