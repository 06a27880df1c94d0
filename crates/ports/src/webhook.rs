//! Letters to programs elsewhere.

use crate::store::BoxedError;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Carries letters to HTTP addresses.
#[async_trait]
pub trait WebhookTransport: fmt::Debug + Send + Sync + 'static {
    /// Hands a letter over with the method POST and gives the answer, whatever it is.
    ///
    /// Nothing but the address of the letter is ever contacted: a redirect is an answer like any other. It takes a bounded
    /// time, and of what is answered nothing but the head is read, of bounded size, so that no receiver can hold it up.
    ///
    /// # Errors
    /// [`WebhookTransportError::Unusable`] for an address or a header that is none, [`WebhookTransportError::Unreachable`] if nobody is there or
    /// cannot be trusted, [`WebhookTransportError::Silent`] if no answer came in time.
    async fn post(&self, letter: &WebhookRequest) -> Result<WebhookResponse, WebhookTransportError>;
}

/// What is handed over.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Where: `http://` or `https://`, host, port and path.
    pub address: String,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// What is in it.
    pub body: Vec<u8>,
}

impl fmt::Debug for WebhookRequest {
    /// Prints no values: a signature is nobody else's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("address", &self.address)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    /// The status of the answer.
    pub status: u16,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookTransportError {
    /// It can never be sent.
    #[error("the webhook cannot be delivered: {why}")]
    Unusable {
        /// Why.
        why: String,
    },
    /// Nobody is there, or it is not who it should be.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: BoxedError,
    },
    /// No answer came in time.
    #[error("{address} does not answer")]
    Silent {
        /// Where.
        address: String,
    },
}
