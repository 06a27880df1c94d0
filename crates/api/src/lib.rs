//! The use cases of longhaul, shared by all client interfaces. Their requests and replies are in
//! [`longhaul_wire::api`].
//!
//! [`Api`] checks a request, finds the process that the request refers to, calls the engine and converts the result to
//! a reply. Each client interface (HTTP, MCP and so on) only adds the transport. Errors are [`ApiError`]s. Each of them
//! contains the [`longhaul_wire::api::Problem`] that clients get through every interface.

mod api;
mod artifacts;
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
pub mod runner;
mod test_results;
pub mod webhook;

pub use api::Api;
pub use artifacts::{ArtifactQuery, ArtifactReader};
pub use completions::{CompletionStream, NOTICE_WINDOW};
pub use convert::{DetailLevel, LaunchDefaults, command_line, moment, output_is_gone, rfc3339, view, views};
pub use error::ApiError;
pub use events::{
    ChangeStream, EventBroadcast, EventItem, Events, ProcessChange, ProcessScope, SerializedEvent,
};
pub use hmac::hmac;
pub use metrics::{InstrumentedStore, Metrics};
pub use output::{ReadFrom, RemoteOutput};
pub use peers::{
    PEER_HEADER, PeerAuthError, PeerClient, PeerConfig, PeerGate, PeerSecrets, SignedRequest, digest, prove,
};
