//! Authentication of other nodes of the cluster. Every request carries a proof, and only a few paths are allowed.

use super::{Guard, RequestRejection, only};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use longhaul_api::{PEER_HEADER, digest};

/// Header with the proof that a request was sent by another node.
const HEADER: HeaderName = HeaderName::from_static(PEER_HEADER);
/// Paths below `/v1/processes/{ref}/` that other nodes may read.
const READABLE_PEER_PATHS: &[&str] = &["output", "text", "search", "artifacts", "tests"];
/// Prefix of the paths of artifacts, which other nodes may read. The prefix follows `/v1/processes/{ref}/`.
const ARTIFACT_PEER_PATH: &str = "artifacts/";
/// Path below `/v1/processes/{ref}/` to which other nodes may write.
const WRITABLE_PEER_PATHS: &str = "input";

/// Digest in the proof, which the body of another node's request must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedBody {
    digest: [u8; 32],
}

impl Guard {
    /// Authenticates a request that claims to come from another node. Returns `None` if the request has no peer header.
    ///
    /// The host and origin of the request are not checked, because no web page can create a valid proof.
    pub(crate) fn admit_peer(&self, head: &Parts) -> Option<Result<SignedBody, RequestRejection>> {
        head.headers.contains_key(HEADER).then(|| self.check_peer(head))
    }

    fn check_peer(&self, head: &Parts) -> Result<SignedBody, RequestRejection> {
        let gate = self.peers.as_ref().ok_or(RequestRejection::NoPeers)?;
        let said = only(&head.headers, &HEADER).ok_or(RequestRejection::Unproven)?;
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let digest =
            gate.admit(said, head.method.as_str(), target).map_err(|why| RequestRejection::Peer { why })?;
        if is_for_peers(&head.method, head.uri.path()) {
            Ok(SignedBody { digest })
        } else {
            Err(RequestRejection::NotForPeers)
        }
    }
}

impl SignedBody {
    /// Checks that the body has the digest that the proof contains.
    pub(crate) fn check(self, body: &[u8]) -> Result<(), RequestRejection> {
        if digest(body) == self.digest { Ok(()) } else { Err(RequestRejection::Unproven) }
    }
}

fn is_for_peers(method: &Method, path: &str) -> bool {
    let Some((_, part)) = path.strip_prefix("/v1/processes/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    match *method {
        Method::GET => READABLE_PEER_PATHS.contains(&part) || part.starts_with(ARTIFACT_PEER_PATH),
        Method::POST => part == WRITABLE_PEER_PATHS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_look_at_output_and_hand_over_input_and_nothing_else() {
        let may = |method: Method, path: &str| is_for_peers(&method, path);
        for part in ["output", "text", "search", "artifacts", "tests", "artifacts/out/a.xml"] {
            assert!(may(Method::GET, &format!("/v1/processes/x/{part}")));
            assert!(!may(Method::POST, &format!("/v1/processes/x/{part}")));
        }
        assert!(may(Method::POST, "/v1/processes/x/input"));
        for path in
            ["/v1/processes", "/v1/reset", "/v1/processes/x", "/v1/processes/x/cancel", "/mcp", "/metrics"]
        {
            assert!(!may(Method::GET, path) && !may(Method::POST, path), "{path}");
        }
        assert!(!may(Method::POST, "/v1/processes/x/input/../cancel"));
        assert!(!may(Method::GET, "/v1/processes/x/y/output"));
    }
}
