//! Readiness checks and output patterns of a launch, input for a running command, and listening ports.

use super::StreamChoice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Condition under which a command counts as ready. Exactly one field is required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadyWhenRequest {
    /// TCP port: ready when a process of the command's own tree listens on it.
    pub port: Option<u16>,
    /// `http://` URL: ready when a GET request returns a status from 200 to 399.
    pub http: Option<String>,
    /// Regular expression: ready when it matches in a line of the output.
    pub log: Option<String>,
    /// Program and its arguments, executed in the same way as the command: ready when it exits with code 0.
    pub command: Option<Vec<String>>,
}

/// Pattern to detect in the output. Each line that matches is reported as an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchRequest {
    /// Name of the pattern in the event; 1 to 64 bytes.
    pub name: String,
    /// Regular expression; at most 1 KiB.
    pub pattern: String,
    /// Stream to search: `both` (default), `stdout` or `stderr`.
    pub stream: Option<StreamChoice>,
}

/// Input for a command that was launched with `stdin_pipe`.
///
/// At most one of `text` and `base64`; neither is needed if `close` is true.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputRequest {
    /// Text to write, unchanged. A program that reads lines needs a line feed at the end.
    pub text: Option<String>,
    /// Bytes to write, in the standard Base64 alphabet.
    pub base64: Option<String>,
    /// True to close the standard input after the write.
    pub close: bool,
}

impl fmt::Debug for InputRequest {
    /// Omits the content, which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputRequest").field("close", &self.close).finish_non_exhaustive()
    }
}

/// Result of writing input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InputReply {
    /// Id of the process.
    pub id: String,
    /// Number of bytes that were written, counted from the first byte; fewer than requested if the command does not
    /// read them.
    pub bytes: u64,
    /// True if the standard input was closed as requested. The input is not closed while bytes are left to write.
    pub closed: bool,
}

/// TCP address on which a process of the tree listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListeningPortView {
    /// IP address; `0.0.0.0` or `::` for all addresses.
    pub address: String,
    /// TCP port number.
    pub port: u16,
}
