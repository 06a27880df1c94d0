//! Writes to the standard input of commands.

use crate::api::Api;
use crate::api::control::check_unmoved;
use crate::error::ApiError;
use crate::peers::{PeerRequest, PeerRequestError, Unreachable};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longhaul_domain::{NodeId, ProcessId, Revision};
use longhaul_engine::{EngineError, InputRefusal};
use longhaul_wire::api::{InputReply, InputRequest};
use std::time::Duration;

/// Timeout of an input request to another node. Writing input takes long if the command does not read it.
const INPUT: Duration = Duration::from_secs(10);
/// Maximum size of the reply to an input request that was sent to another node, in bytes.
const MAX_REPLY_BYTES: usize = 4 * 1024;

impl Api {
    /// Writes to the standard input of a running command. Then closes the input if the request says so.
    ///
    /// # Errors
    /// Returns an error if the request is empty, the reference does not match exactly one process, or the process does
    /// not accept input.
    pub async fn write_input(
        &self,
        reference: &str,
        request: InputRequest,
        expected: Option<Revision>,
    ) -> Result<InputReply, ApiError> {
        let close = request.close;
        let bytes = content(request)?;
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        check_unmoved(engine, id, expected).await?;
        let written = match engine.write_input(id, bytes.clone(), close).await {
            Err(EngineError::InputRefused { refusal: InputRefusal::Elsewhere { node }, .. })
                if !self.peers.is_forbidden() =>
            {
                return self.write_there(&node, id, &bytes, close, expected).await;
            }
            written => written?,
        };
        Ok(InputReply { id: id.to_string(), bytes: count(written.bytes), closed: written.closed })
    }

    /// Forwards an input request to the node on which the command runs.
    async fn write_there(
        &self,
        node: &NodeId,
        id: ProcessId,
        bytes: &[u8],
        close: bool,
        expected: Option<Revision>,
    ) -> Result<InputReply, ApiError> {
        let base64 = (!bytes.is_empty()).then(|| STANDARD.encode(bytes));
        let request = InputRequest { base64, close, ..InputRequest::default() };
        let body =
            serde_json::to_vec(&request).map_err(|error| ApiError::invalid("input", error.to_string()))?;
        let revision = expected.map(|revision| format!("?revision={}", revision.0)).unwrap_or_default();
        let target = format!("/v1/processes/{id}/input{revision}");
        let question = PeerRequest { target, body: Some(body), time_limit: INPUT };
        match self.peers.fetch::<InputReply>(&self.engine, node, question, MAX_REPLY_BYTES).await {
            Ok(reply) if reply.id == id.to_string() && reply.bytes <= count(bytes.len()) => Ok(reply),
            Ok(_) => Err(Unreachable::of(node, "the reply belongs to another request").input(id)),
            Err(PeerRequestError::Refused(fault)) => Err(fault),
            Err(PeerRequestError::Away(away)) => Err(away.input(id)),
        }
    }
}

fn content(request: InputRequest) -> Result<Vec<u8>, ApiError> {
    let bytes = match (request.text, request.base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(code)) => {
            STANDARD.decode(code).map_err(|error| ApiError::invalid("base64", error.to_string()))?
        }
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("input", "both `text` and `base64` are given").help(
                "give either `text` \
                    or `base64`",
            ));
        }
    };
    if bytes.is_empty() && !request.close {
        return Err(ApiError::invalid("input", "the request contains no input to write")
            .help("give `text` or `base64`, or `close` to close the input"));
    }
    Ok(bytes)
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_text_or_base64_and_may_be_empty_only_to_end_it() {
        let text = InputRequest { text: Some("yes\n".to_owned()), ..InputRequest::default() };
        assert_eq!(content(text.clone()).unwrap(), b"yes\n");
        let bytes = InputRequest { base64: Some("/wA=".to_owned()), ..InputRequest::default() };
        assert_eq!(content(bytes).unwrap(), [0xff, 0]);
        let close = InputRequest { close: true, ..InputRequest::default() };
        assert_eq!(content(close).unwrap(), b"");
        assert!(content(InputRequest::default()).is_err());
        assert!(content(InputRequest { base64: Some("AA==".to_owned()), ..text }).is_err());
        assert!(content(InputRequest { base64: Some("!".to_owned()), ..InputRequest::default() }).is_err());
    }
}
