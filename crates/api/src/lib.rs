//! What every face of longhaul shares: the use cases in the words of [`longhaul_wire::api`].
//!
//! [`Api`] takes requests as clients make them and answers as clients see it; it checks, finds who is meant, asks the
//! engine and converts. A face adds only how requests and answers travel. What goes wrong is a [`ApiError`], which holds
//! the [`longhaul_wire::api::Problem`] that a client is told, whichever way it came.

mod api;
mod completions;
mod convert;
#[cfg(feature = "decoders")]
pub mod decoders;
mod error;
mod events;
mod hmac;
pub mod hooks;
mod metrics;
mod output;
mod peers;
pub mod webhook;

pub use api::Api;
pub use completions::{CompletionStream, NOTICE_WINDOW};
pub use convert::{DetailLevel, LaunchDefaults, command_line, moment, output_is_gone, rfc3339, view, views};
pub use error::ApiError;
pub use events::{ChangeStream, EventBroadcast, EventItem, Events, ProcessChange, SerializedEvent};
pub use hmac::hmac;
pub use metrics::{InstrumentedStore, Metrics};
pub use output::{ReadFrom, RemoteOutput};
pub use peers::{
    PEER_HEADER, PeerAuthError, PeerClient, PeerConfig, PeerGate, PeerSecrets, SignedRequest, digest, prove,
};
