//! What every face of longhaul shares: the use cases in the words of [`longhaul_wire::api`].
//!
//! [`Api`] takes requests as clients make them and answers as clients see it; it checks, finds who is meant, asks the
//! engine and converts. A face adds only how requests and answers travel. What goes wrong is a [`Fault`], which holds
//! the [`longhaul_wire::api::Problem`] that a client is told, whichever way it came.

mod api;
mod convert;
pub mod courier;
#[cfg(feature = "decoders")]
pub mod decoders;
mod events;
mod fault;
mod hmac;
pub mod hooks;
mod metrics;
mod notices;
mod output;
mod peers;

pub use api::Api;
pub use convert::{Depth, LaunchDefaults, command_line, moment, output_is_gone, rfc3339, view, views};
pub use events::{Change, Changes, Events, Relay, Telling, Told};
pub use fault::Fault;
pub use hmac::hmac;
pub use metrics::{Measured, Metrics};
pub use notices::{NOTICE_WINDOW, Notices};
pub use output::{Following, Part};
pub use peers::{PEER_HEADER, PeerGate, PeerSecrets, Peers, Proven, Unproven, Ways, digest, prove};
