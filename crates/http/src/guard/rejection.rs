//! Reasons to reject a network request before it reaches the routes, and the responses that the client gets.

use crate::error_response::ErrorResponse;
use crate::json_rpc::NotJson;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use longhaul_api::{ApiError, PeerAuthError};

/// Reason why a network request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestRejection {
    /// The `Host` header is missing or is not one of the manager's own names.
    Host,
    /// The request comes from a web page whose origin is not allowed.
    Origin,
    /// The request has no token.
    NoToken,
    /// The token is unknown or malformed.
    BadToken,
    /// The request claims to come from another node, but this manager is not part of a cluster.
    NoPeers,
    /// The peer header is malformed, or the body does not have the digest in the proof.
    Unproven,
    /// The proof in the request of another node is not valid.
    Peer {
        /// Reason why the proof is not valid.
        why: PeerAuthError,
    },
    /// The request comes from another node, but other nodes may not use this path or method.
    NotForPeers,
    /// The token permits only read requests, and the method of the request could change a process or a record.
    ReadOnly,
    /// The maximum number of clients with a read-only token is already connected.
    Crowded,
    /// The body is not declared as JSON.
    Kind,
    /// The body is too large.
    TooLarge {
        /// Maximum size of the body, in bytes.
        limit: u64,
    },
    /// The body ended early or could not be read.
    Broken,
    /// The body did not arrive in time.
    Late,
    /// The body of a JSON-RPC call is not valid JSON.
    Unreadable,
}

impl RequestRejection {
    /// Returns true if the client did not authenticate itself.
    pub(crate) const fn is_stranger(self) -> bool {
        match self {
            Self::Host
            | Self::Origin
            | Self::NoToken
            | Self::BadToken
            | Self::NoPeers
            | Self::Unproven
            | Self::Peer { .. } => true,
            Self::ReadOnly
            | Self::NotForPeers
            | Self::Crowded
            | Self::Kind
            | Self::TooLarge { .. }
            | Self::Broken
            | Self::Late
            | Self::Unreadable => false,
        }
    }

    /// Returns true if the connection is closed after this response.
    fn is_last(self) -> bool {
        self.is_stranger() || self == Self::Crowded
    }

    /// Returns the error to send as the response. Returns `None` if the response is a JSON-RPC error instead.
    fn fault(self) -> Option<ApiError> {
        Some(match self {
            Self::Host => ApiError::new(403, "forbidden_host", "the manager does not accept this host name")
                .because("a web page could have made its own name resolve to this machine")
                .help("use an address on which the manager listens, or add the name to listen.hosts"),
            Self::Origin => ApiError::new(
                403,
                "forbidden_origin",
                "this web page may not send requests to the \
             manager",
            )
            .help("add the origin of the page to listen.origins"),
            Self::NoToken => {
                ApiError::new(401, "token_required", "requests over the network require a token")
                    .help("send `Authorization: Bearer TOKEN`; `longhaul token` prints it")
            }
            Self::BadToken => ApiError::new(401, "token_unknown", "the token is not valid")
                .help("send `Authorization: Bearer TOKEN`; `longhaul token` prints it"),
            Self::NoPeers => ApiError::new(
                401,
                "peer_unproven",
                "this node does not accept requests of other nodes over the \
                 network",
            )
            .because("the store of this manager is not a shared store"),
            Self::Unproven => {
                ApiError::new(401, "peer_unproven", "the request is not from a node of this cluster")
                    .because("the signature of the request is for another request")
            }
            Self::Peer { why } => ApiError::new(
                401,
                "peer_unproven",
                "the request is not from a node of this \
             cluster",
            )
            .because(format!("the signature of the request is not valid: {why}")),
            Self::NotForPeers => {
                ApiError::new(403, "peer_refused", "nodes may only request output and input from each other")
            }
            Self::ReadOnly => ApiError::new(403, "read_only", "this token only allows requests that read")
                .help("`longhaul token` prints the token that allows all requests"),
            Self::Crowded => {
                let title = "the maximum number of connections with a read-only token is reached";
                ApiError::new(503, "too_many_connections", title)
                    .help("try again when other connections are closed")
            }
            Self::Kind => ApiError::new(415, "unsupported_media_type", "the body of a request must be JSON")
                .help("send `Content-Type: application/json`"),
            Self::TooLarge { limit } => ApiError::new(
                413,
                "payload_too_large",
                format!("the body of a request may have at most {limit} bytes"),
            )
            .help("put large inputs in a file that the command reads"),
            Self::Broken => ApiError::new(400, "invalid_request", "the body of the request ended early"),
            Self::Late => {
                ApiError::new(408, "invalid_request", "the body of the request did not arrive in time")
            }
            Self::Unreadable => return None,
        })
    }
}

impl IntoResponse for RequestRejection {
    fn into_response(self) -> Response {
        let Some(fault) = self.fault() else { return NotJson.answer() };
        let mut response = ErrorResponse(fault).into_response();
        let headers = response.headers_mut();
        match self {
            Self::NoToken => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"longhaul\""));
            }
            Self::BadToken => {
                let known = "Bearer realm=\"longhaul\", error=\"invalid_token\"";
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(known));
            }
            Self::Host
            | Self::Origin
            | Self::NoPeers
            | Self::Unproven
            | Self::Peer { .. }
            | Self::NotForPeers
            | Self::ReadOnly
            | Self::Crowded
            | Self::Kind
            | Self::TooLarge { .. }
            | Self::Broken
            | Self::Late
            | Self::Unreadable => {}
        }
        if self.is_last() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
