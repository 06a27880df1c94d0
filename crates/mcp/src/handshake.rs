//! The handshake: the first line of a stream, which contains facts about the client.

use crate::caller::Caller;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Version of the format of the line.
const FORM: u32 = 1;
/// Maximum length of the handshake line in bytes. On Linux, an environment is at most half as long.
const MAX_LINE_LEN: usize = 4 * 1024 * 1024;

/// Fields of the handshake line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Handshake {
    longhaul_mcp: u32,
    directory: Option<PathBuf>,
    environment: Option<BTreeMap<String, String>>,
    session: Option<String>,
    parent: Option<String>,
    read_only: bool,
}

/// Reason why a stream is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HandshakeError {
    /// The client disconnected.
    #[error("the stream ended before its first line")]
    Gone,
    /// The handshake line is too long.
    #[error("the first line is longer than {MAX_LINE_LEN} bytes")]
    TooLong,
    /// The first line is not a valid handshake.
    #[error("the first line is not valid: {why}")]
    Unreadable {
        /// Description of what is invalid.
        why: String,
    },
    /// The handshake line has a different format version.
    #[error("the first line of the connection has format {theirs}; this manager supports format {FORM}")]
    Form {
        /// Format version of the line.
        theirs: u32,
    },
    /// The stream failed.
    #[error("the first line cannot be read")]
    Io {
        /// Cause of the failure.
        #[source]
        source: std::io::Error,
    },
}

impl HandshakeError {
    /// Returns the line with the error. The client receives this line, and the stream is not served.
    pub(crate) fn line(&self) -> String {
        let code = match self {
            Self::Form { .. } => "protocol_mismatch",
            Self::Gone | Self::TooLong | Self::Unreadable { .. } | Self::Io { .. } => "invalid_request",
        };
        let hint = "use `longhaul mcp` of the same version as the manager";
        format!(
            "{}\n",
            json!({ "longhaul_mcp_error": { "type": code, "title": self.to_string(), "help": hint } })
        )
    }
}

/// Reads the handshake line. Does not consume any bytes after it.
pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Caller, HandshakeError> {
    let line = line(stream).await?;
    let opening: Handshake = serde_json::from_slice(&line)
        // The handshake line contains environment variables, so the error message must not quote it.
        .map_err(|error| HandshakeError::Unreadable { why: format!("{:?} error", error.classify()) })?;
    if opening.longhaul_mcp != FORM {
        return Err(HandshakeError::Form { theirs: opening.longhaul_mcp });
    }
    if opening.directory.as_ref().is_some_and(|directory| !directory.is_absolute()) {
        return Err(HandshakeError::Unreadable {
            why: "the directory of the client is not an absolute path".to_owned(),
        });
    }
    Ok(Caller {
        directory: opening.directory,
        environment: opening.environment.map(Arc::new),
        session: opening.session,
        parent: opening.parent,
        read_only: opening.read_only,
    })
}

async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, HandshakeError> {
    let mut line = Vec::new();
    loop {
        let there = stream.fill_buf().await.map_err(|source| HandshakeError::Io { source })?;
        if there.is_empty() {
            return Err(HandshakeError::Gone);
        }
        let end = there.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(there.len(), |end| end + 1);
        if line.len() + taken > MAX_LINE_LEN {
            return Err(HandshakeError::TooLong);
        }
        line.extend(there.iter().take(taken));
        stream.consume(taken);
        if end.is_some() {
            return Ok(line);
        }
    }
}

impl fmt::Debug for Handshake {
    /// Prints only the names of the variables, because their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("form", &self.longhaul_mcp)
            .field("directory", &self.directory)
            .field("environment", &self.environment.as_ref().map(|all| all.keys().collect::<Vec<_>>()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(mut bytes: &[u8]) -> Result<(Caller, usize), HandshakeError> {
        let caller = read(&mut bytes).await?;
        Ok((caller, bytes.len()))
    }

    #[tokio::test]
    async fn opening_line_says_on_whose_behalf_and_takes_no_byte_more() {
        let line = "{\"longhaul_mcp\":1,\"version\":\"9\",\"directory\":\"/w\",\"environment\":{\"A\":\"1\"},\
                    \"session\":\"s\",\"read_only\":true}\nrest";
        let (caller, left) = opened(line.as_bytes()).await.unwrap();
        assert_eq!(left, 4);
        assert_eq!(caller.directory, Some(PathBuf::from("/w")));
        assert_eq!(caller.environment.unwrap()["A"], "1");
        assert_eq!(caller.session.as_deref(), Some("s"));
        assert!(caller.read_only);
    }

    #[tokio::test]
    async fn invalid_handshake_is_refused_in_one_line() {
        let long = vec![b' '; MAX_LINE_LEN + 1];
        for (bytes, code) in [
            (&b"{\"longhaul_mcp\":2}\n"[..], "protocol_mismatch"),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n", "protocol_mismatch"),
            (b"nonsense\n", "invalid_request"),
            (b"{\"longhaul_mcp\":1,\"directory\":\"here\"}\n", "invalid_request"),
            (b"{\"longhaul_mcp\":1", "invalid_request"),
            (&long, "invalid_request"),
        ] {
            let line = opened(bytes).await.unwrap_err().line();
            assert_eq!(line.matches('\n').count(), 1);
            let said: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(said["longhaul_mcp_error"]["type"], code, "{said}");
        }
    }

    #[tokio::test]
    async fn refusal_repeats_nothing_of_an_environment() {
        let error = opened(b"{\"longhaul_mcp\":1,\"environment\":{\"A\":\"secret\",}}\n").await.unwrap_err();
        assert!(!error.line().contains("secret"));
    }
}
