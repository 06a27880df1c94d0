//! What a launch may ask to be told of, and what is written to a command while it runs.

use super::StreamChoice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How it is found out that a command does what it was started for: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadyWhenRequest {
    /// A process of its own tree listens on this TCP port.
    pub port: Option<u16>,
    /// This `http://` address answers a GET with a status from 200 to 399.
    pub http: Option<String>,
    /// This regular expression is found in a line of its output.
    pub log: Option<String>,
    /// This command ends with code 0: a program and its arguments, started as the command itself is.
    pub command: Option<Vec<String>>,
}

/// A regular expression to look for in the output: each line in which it is found is told as an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchRequest {
    /// What the event calls it; 1 to 64 bytes.
    pub name: String,
    /// The expression; at most 1 KiB.
    pub pattern: String,
    /// Where to look; both streams by default.
    pub stream: Option<StreamChoice>,
}

/// Writes to the standard input of a command that was launched with `stdin_pipe`.
///
/// Either `text` or `base64`, and neither only to close it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputRequest {
    /// Text, written as it is: whoever reads lines wants a line feed at its end.
    pub text: Option<String>,
    /// Bytes, in the standard alphabet of Base64.
    pub base64: Option<String>,
    /// Let the input end there.
    pub close: bool,
}

impl fmt::Debug for InputRequest {
    /// Prints no content: it may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputRequest").field("close", &self.close).finish_non_exhaustive()
    }
}

/// What became of input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InputReply {
    /// The process that was meant.
    pub id: String,
    /// So many bytes were taken, from the first on; fewer than were given if nobody reads them.
    pub bytes: u64,
    /// Whether the input ends there, as it was asked; it does not while bytes are left.
    pub closed: bool,
}

/// A TCP address on which a process of the tree listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListeningPortView {
    /// The address; `0.0.0.0` or `::` for all of them.
    pub address: String,
    /// The port.
    pub port: u16,
}
