//! Requests that are turned away at the door.

use crate::error_response::ErrorResponse;
use crate::json_rpc::NotJson;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use longhaul_api::{ApiError, PeerAuthError};

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestRejection {
    /// It names the manager by a name that is not its own, or by none.
    Host,
    /// It comes from a web page that was not allowed.
    Origin,
    /// It has no token.
    NoToken,
    /// Its token is not known.
    BadToken,
    /// No other node may ask here.
    NoPeers,
    /// What is said to come from another node was not proven.
    Unproven,
    /// The proof of another node is not taken.
    Peer {
        /// Why.
        why: PeerAuthError,
    },
    /// It comes from another node, and is nothing that those may ask.
    NotForPeers,
    /// It would change something, and its token only lets it read.
    ReadOnly,
    /// As many as may only read are connected.
    Crowded,
    /// Its body is no JSON.
    Kind,
    /// Its body is too large.
    TooLarge {
        /// The most bytes.
        most: u64,
    },
    /// Its body broke off, or is none.
    Broken,
    /// Its body did not come.
    Late,
    /// Its body is to be a call of an agent, and cannot be read.
    Unreadable,
}

impl RequestRejection {
    /// Whether nothing was shown by which the client would be known.
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

    /// Whether the connection ends with the answer.
    fn is_last(self) -> bool {
        self.is_stranger() || self == Self::Crowded
    }

    /// The problem that it is; none if it is told as agents understand it.
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
            .because("its store is not a shared store"),
            Self::Unproven => {
                ApiError::new(401, "peer_unproven", "the request is not from a node of this cluster")
                    .because("its signature is for another request")
            }
            Self::Peer { why } => ApiError::new(
                401,
                "peer_unproven",
                "the request is not from a node of this \
             cluster",
            )
            .because(format!("its signature is not valid: {why}")),
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
            Self::TooLarge { most } => ApiError::new(
                413,
                "payload_too_large",
                format!("the body of a request may have at most {most} bytes"),
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
