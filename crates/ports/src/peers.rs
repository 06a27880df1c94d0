//! Port for HTTP requests to the managers of other nodes.

use crate::store::BoxedError;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Sends requests to the managers of other nodes.
#[async_trait]
pub trait PeerTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and returns the head of the response, with any HTTP status. The caller then reads the body chunk
    /// by chunk.
    ///
    /// Only the address of the request is contacted; redirects are returned and not followed. Until the head has
    /// arrived, time and memory are bounded, regardless of the data that the other node sends.
    ///
    /// # Errors
    /// - [`PeerError::Unusable`] if the address is invalid or must not be contacted.
    /// - [`PeerError::Unreachable`] if the connection failed.
    /// - [`PeerError::Untrusted`] if the other node could not be authenticated.
    /// - [`PeerError::Silent`] if no response came in time.
    async fn ask(&self, call: &PeerHttpRequest) -> Result<PeerResponse, PeerError>;
}

/// A request to another node.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerHttpRequest {
    /// Address of the node: `https://host:port`, `http://host:port`, or `http+unix:///path/of/a/socket`.
    pub address: String,
    /// Request target: the path, and the query after `?`.
    pub target: String,
    /// Names and values of the request headers.
    pub headers: Vec<(String, String)>,
    /// JSON body of the request. A request without a body changes nothing on the other node.
    pub body: Option<Vec<u8>>,
    /// Time limit for the arrival of the response head.
    pub time_limit: Duration,
}

impl fmt::Debug for PeerHttpRequest {
    /// Omits the header values and the body, which can contain credentials and the input of a command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerHttpRequest")
            .field("address", &self.address)
            .field("target", &self.target)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("bytes", &self.body.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// The head of a response, and a reader for the response body.
#[derive(Debug)]
pub struct PeerResponse {
    /// HTTP status code.
    pub status: u16,
    /// Reader for the response body.
    pub body: Box<dyn PeerBody>,
}

/// Reader for the body of a response.
#[async_trait]
pub trait PeerBody: fmt::Debug + Send + Sync + 'static {
    /// Returns the next bytes, which are never empty. Returns `None` at the end of the body.
    ///
    /// # Cancel safety
    /// Dropping the call loses no bytes.
    ///
    /// # Errors
    /// Returns [`PeerError::Unreachable`] if the connection breaks.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PeerError>;
}

/// An error of a request to another node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The address is invalid or must not be contacted.
    #[error("the address {address} cannot be used: {why}")]
    Unusable {
        /// Address of the request.
        address: String,
        /// Reason for the refusal.
        why: String,
    },
    /// The connection failed or broke.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Address of the request.
        address: String,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
    /// The other node could not prove its identity, or this node cannot verify the proof.
    #[error("the identity of {address} cannot be verified")]
    Untrusted {
        /// Address of the request.
        address: String,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
    /// No response came in time.
    #[error("{address} does not answer")]
    Silent {
        /// Address of the request.
        address: String,
    },
}
