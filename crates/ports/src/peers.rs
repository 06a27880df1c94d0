//! Questions to other nodes.

use crate::store::BoxedError;
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Carries requests to the managers of other nodes.
#[async_trait]
pub trait PeerTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and gives the head of the answer, whatever it is; what follows it is read piece by piece.
    ///
    /// Nothing but the address of the call is ever contacted: a redirect is an answer like any other. No answer that the
    /// other side can give takes unbounded time or memory until its head is here.
    ///
    /// # Errors
    /// [`PeerError::Unusable`] for an address that is none or that must not be asked, [`PeerError::Unreachable`] if nobody
    /// is there, [`PeerError::Untrusted`] if it is not who it should be, [`PeerError::Silent`] if no answer came in time.
    async fn ask(&self, call: &PeerHttpRequest) -> Result<PeerResponse, PeerError>;
}

/// A request to another node.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerHttpRequest {
    /// Where: `https://host:port`, `http://host:port`, or `http+unix:///path/of/a/socket`.
    pub address: String,
    /// The path, and behind `?` what else is asked.
    pub target: String,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// What is sent along as JSON; without it nothing is changed there.
    pub body: Option<Vec<u8>>,
    /// How long the head of the answer may take.
    pub patience: Duration,
}

impl fmt::Debug for PeerHttpRequest {
    /// Prints no values: a proof and what a command is told are nobody else's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerHttpRequest")
            .field("address", &self.address)
            .field("target", &self.target)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("bytes", &self.body.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// The head of an answer, and what follows it.
#[derive(Debug)]
pub struct PeerResponse {
    /// The status of the answer.
    pub status: u16,
    /// What follows its head.
    pub body: Box<dyn PeerBody>,
}

/// What follows the head of an answer.
#[async_trait]
pub trait PeerBody: fmt::Debug + Send + Sync + 'static {
    /// The next bytes, never none of them; nothing at the end. Dropping the call loses nothing.
    ///
    /// # Errors
    /// [`PeerError::Unreachable`] if it breaks off.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PeerError>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// It must not be asked.
    #[error("{address} is not contacted: {why}")]
    Unusable {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// Nobody is there.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: BoxedError,
    },
    /// It cannot prove who it is, or there is nothing here to judge that by.
    #[error("{address} is not trusted")]
    Untrusted {
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
