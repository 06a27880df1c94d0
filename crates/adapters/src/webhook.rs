//! Webhook delivery over HTTP, and reader cursors in files.

mod connection;
mod cursors;

pub use crate::trust::TrustError;
pub use cursors::FileReaderCursors;

use crate::trust::{connector, server_name};
use async_trait::async_trait;
use connection::{ConnectionPool, WebhookConnection};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Response, Uri};
use longhaul_ports::{WebhookRequest, WebhookResponse, WebhookTransport, WebhookTransportError};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Options of webhook delivery.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// PEM file of trusted CA certificates. Without it, the certificates of the machine are trusted.
    pub authorities: Option<PathBuf>,
    /// Timeout from the start of the connection to the head of the response.
    pub time_limit: Duration,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self { authorities: None, time_limit: Duration::from_secs(30) }
    }
}

/// Delivers webhook requests over HTTP. A connection is kept open for the next request to the same receiver.
pub struct HttpWebhookTransport {
    connector: Result<TlsConnector, TrustError>,
    time_limit: Duration,
    lines: ConnectionPool,
}

/// Address of a webhook receiver.
#[derive(Clone, Debug)]
struct WebhookTarget {
    is_secret: bool,
    host: String,
    port: u16,
}

impl HttpWebhookTransport {
    /// Creates a transport. If no CA certificates can be loaded, each request to an `https` address fails with that
    /// error.
    #[must_use]
    pub fn new(options: &WebhookOptions) -> Self {
        Self {
            connector: connector(options.authorities.as_deref()),
            time_limit: options.time_limit,
            lines: ConnectionPool::default(),
        }
    }

    async fn carry(&self, webhook: &WebhookRequest) -> Result<WebhookResponse, WebhookTransportError> {
        let unreachable =
            |source| WebhookTransportError::Unreachable { address: webhook.address.clone(), source };
        let uri: Uri = webhook.address.parse().map_err(unusable)?;
        let receiver = WebhookTarget::of(&uri)?;
        let name = receiver.to_string();
        if let Some(mut connection) = self.lines.take(&name)
            && let Ok(answer) = connection.ask(request(webhook, &uri)?).await
        {
            return Ok(self.receipt(&name, connection, answer).await);
        }
        // There was no idle connection, or the receiver had closed the idle connection. It is safe to send the request
        // again, because the receiver recognises the event id.
        let request = request(webhook, &uri)?;
        let mut connection = self.line(&receiver).await.map_err(unreachable)?;
        let answer = connection.ask(request).await.map_err(|error| unreachable(error.into()))?;
        Ok(self.receipt(&name, connection, answer).await)
    }

    async fn line(
        &self,
        receiver: &WebhookTarget,
    ) -> Result<WebhookConnection, Box<dyn std::error::Error + Send + Sync>> {
        let WebhookTarget { is_secret, host, port } = receiver;
        let idle = self.time_limit.saturating_mul(2);
        let trusted = match (is_secret, &self.connector) {
            (false, _) => None,
            (true, Ok(connector)) => Some((connector, server_name(host)?)),
            (true, Err(error)) => return Err(error.to_string().into()),
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        // A request is one small write, so a delay would save no packets.
        let _ = stream.set_nodelay(true);
        Ok(match trusted {
            None => WebhookConnection::open(stream, idle).await?,
            Some((connector, name)) => {
                WebhookConnection::open(connector.connect(name, stream).await?, idle).await?
            }
        })
    }

    async fn receipt(
        &self,
        name: &str,
        connection: WebhookConnection,
        answer: Response<Incoming>,
    ) -> WebhookResponse {
        let receipt =
            WebhookResponse { status: answer.status().as_u16(), retry_after: retry_after(answer.headers()) };
        self.lines.put(name, connection, answer).await;
        receipt
    }
}

impl WebhookTarget {
    fn of(uri: &Uri) -> Result<Self, WebhookTransportError> {
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return Err(WebhookTransportError::Unusable { why: "the address contains no host".to_owned() });
        };
        let is_secret = *scheme == Scheme::HTTPS;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if is_secret {
            server_name(&host).map_err(unusable)?;
        }
        let port = uri.port_u16().unwrap_or(if is_secret { 443 } else { 80 });
        Ok(Self { is_secret, host, port })
    }
}

impl fmt::Display for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_secret, host, port } = self;
        write!(f, "{} {host} {port}", if *is_secret { "https" } else { "http" })
    }
}

#[async_trait]
impl WebhookTransport for HttpWebhookTransport {
    async fn post(&self, webhook: &WebhookRequest) -> Result<WebhookResponse, WebhookTransportError> {
        match timeout(self.time_limit, self.carry(webhook)).await {
            Ok(answer) => answer,
            Err(_) => Err(WebhookTransportError::Silent { address: webhook.address.clone() }),
        }
    }
}

impl fmt::Debug for HttpWebhookTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWebhookTransport").field("patience", &self.time_limit).finish_non_exhaustive()
    }
}

fn request(webhook: &WebhookRequest, uri: &Uri) -> Result<Request<Full<Bytes>>, WebhookTransportError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or_else(String::new, ToString::to_string);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(webhook.body.clone())))
        .map_err(unusable)?;
    for (name, value) in &webhook.headers {
        let name: HeaderName = name.parse().map_err(unusable)?;
        let value: HeaderValue = value.parse().map_err(unusable)?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

fn unusable(error: impl std::error::Error) -> WebhookTransportError {
    WebhookTransportError::Unusable { why: error.to_string() }
}

/// Returns the number of seconds in a `Retry-After` header. Ignores a header that contains a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
