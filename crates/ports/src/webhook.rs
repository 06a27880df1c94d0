//! Port for delivering webhooks over HTTP.

use crate::store::BoxedError;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Delivers webhook requests to HTTP addresses.
#[async_trait]
pub trait WebhookTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends a POST request and returns the head of the response, with any HTTP status.
    ///
    /// Only the address of the request is contacted; redirects are returned and not followed. Only the head of the
    /// response is read. The size of the head and the duration of the call are bounded, so that no receiver can block
    /// the sender.
    ///
    /// # Errors
    /// - [`WebhookTransportError::Unusable`] if the address or a header is invalid.
    /// - [`WebhookTransportError::Unreachable`] if the connection failed or the receiver is not trusted.
    /// - [`WebhookTransportError::Silent`] if no response came in time.
    async fn post(&self, letter: &WebhookRequest) -> Result<WebhookResponse, WebhookTransportError>;
}

/// A webhook request.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Address of the receiver: `http://` or `https://`, host, port and path.
    pub address: String,
    /// Names and values of the request headers.
    pub headers: Vec<(String, String)>,
    /// Body of the request.
    pub body: Vec<u8>,
}

impl fmt::Debug for WebhookRequest {
    /// Omits the header values and the body, because one header contains the signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("address", &self.address)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// The head of a webhook response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    /// HTTP status code.
    pub status: u16,
    /// Minimum time that the receiver requests before the next request.
    pub retry_after: Option<Duration>,
}

/// An error of a webhook request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookTransportError {
    /// The request is invalid and can never be sent.
    #[error("the webhook cannot be delivered: {why}")]
    Unusable {
        /// Description of the problem.
        why: String,
    },
    /// The connection failed, or the receiver is not trusted.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Address of the receiver.
        address: String,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
    /// No response came in time.
    #[error("{address} does not answer")]
    Silent {
        /// Address of the receiver.
        address: String,
    },
}
