//! Requests to the managers of other nodes, for data that only these nodes have.

mod address;
mod body;
mod proof;
mod unreachable;

pub(crate) use body::PeerFrames;
pub use proof::{PEER_HEADER, PeerAuthError, PeerGate, PeerSecrets, SignedRequest, digest, prove};
pub(crate) use unreachable::{PeerRequestError, Unreachable};

use crate::error::ApiError;
use address::PeerAddress;
use body::whole;
use longhaul_domain::{AttemptNo, NodeId};
use longhaul_engine::Engine;
use longhaul_engine::ports::{
    self, AttemptKey, KnownNode, PeerHttpRequest, PeerResponse, Presence, StoredProcess,
};
use longhaul_wire::api::Problem;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Timeout until another node starts to reply, for requests to which the node can reply immediately.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);
/// Additional time for receiving the body of a reply after its head has arrived.
const REST: Duration = Duration::from_secs(2);
/// Maximum size of an error reply, in bytes.
const MAX_PROBLEM_BYTES: usize = 16 * 1024;

/// Client that sends requests to other nodes. Clones share the configuration.
#[derive(Clone, Debug)]
pub struct PeerClient(PeerAccess);

/// The nodes to which this client may send requests.
#[derive(Clone, Debug)]
enum PeerAccess {
    /// No nodes, because this manager has no transport for requests to other nodes.
    Nobody,
    /// No other nodes, because the current request itself comes from another node and must not be forwarded.
    Forbidden,
    Everybody(Arc<PeerConfig>),
}

/// Configuration for requests to other nodes.
#[derive(Debug)]
pub struct PeerConfig {
    /// Transport for the requests.
    pub carrier: Arc<dyn ports::PeerTransport>,
    /// Secrets for proving this node's identity over the network. Without secrets, only sockets on this machine are
    /// used.
    pub secrets: Option<Arc<dyn PeerSecrets>>,
    /// Boot id of this machine. A node with a different boot id runs on another machine, so its sockets are not
    /// reachable.
    pub boot: String,
    /// True if output and input may be sent over the network without encryption.
    pub in_the_clear: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PeerRequest {
    /// Path and query of the URL.
    pub(crate) target: String,
    /// Body of the request. A request without a body is a `GET` and changes nothing.
    pub(crate) body: Option<Vec<u8>>,
    /// Timeout until the head of the reply arrives.
    pub(crate) time_limit: Duration,
}

impl PeerClient {
    /// Creates a client that cannot reach other nodes.
    #[must_use]
    pub const fn none() -> Self {
        Self(PeerAccess::Nobody)
    }

    /// Creates a client for requests to the other nodes that share the store.
    #[must_use]
    pub fn new(ways: PeerConfig) -> Self {
        Self(PeerAccess::Everybody(Arc::new(ways)))
    }

    /// Creates a client for the processing of a request that came from another node. This client refuses to forward
    /// requests.
    pub(crate) const fn forbidden() -> Self {
        Self(PeerAccess::Forbidden)
    }

    /// Returns true if the current request comes from another node.
    pub(crate) const fn is_forbidden(&self) -> bool {
        match self.0 {
            PeerAccess::Forbidden => true,
            PeerAccess::Nobody | PeerAccess::Everybody(_) => false,
        }
    }

    /// Sends a request to a node and parses the reply. A reply larger than `limit` bytes is an error.
    pub(crate) async fn fetch<T: DeserializeOwned>(
        &self,
        engine: &Engine,
        node: &NodeId,
        question: PeerRequest,
        limit: usize,
    ) -> Result<T, PeerRequestError> {
        let until = Instant::now() + question.time_limit.saturating_add(REST);
        let answer = self.ask(engine, node, question).await?;
        let read = tokio::time::timeout_at(until, whole(answer.body, limit)).await;
        let unreachable = |why: &str| PeerRequestError::Away(Unreachable::of(node, why));
        let bytes = read
            .map_err(|_| unreachable("the reply of the node is incomplete"))?
            .map_err(|error| PeerRequestError::Away(Unreachable::by(node, &error)))?
            .ok_or_else(|| unreachable("the reply of the node is longer than requested"))?;
        serde_json::from_slice(&bytes).map_err(|_| unreachable("the reply of the node cannot be decoded"))
    }

    /// Sends a request to a node and returns the reply if it has HTTP status 200.
    pub(crate) async fn ask(
        &self,
        engine: &Engine,
        node: &NodeId,
        question: PeerRequest,
    ) -> Result<PeerResponse, PeerRequestError> {
        let unreachable = |why: &str| PeerRequestError::Away(Unreachable::of(node, why));
        let ways = match &self.0 {
            PeerAccess::Everybody(ways) => ways,
            PeerAccess::Nobody => {
                return Err(unreachable(
                    "this manager was built without support for connections to other \
                    nodes",
                ));
            }
            PeerAccess::Forbidden => {
                return Err(PeerRequestError::Refused(
                    ApiError::new(421, "wrong_node", format!("the process is on node {node}"))
                        .because("a node does not forward requests of other nodes")
                        .help(format!("send the request to node {node}")),
                ));
            }
        };
        let call = ways.call(engine, node, question).await.map_err(PeerRequestError::Away)?;
        let answer = ways
            .carrier
            .ask(&call)
            .await
            .map_err(|error| PeerRequestError::Away(Unreachable::by(node, &error)))?;
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(refused(node, answer).await)
    }
}

impl PeerConfig {
    /// Builds the HTTP request to a node, with the node's address and the proof of this node's identity.
    async fn call(
        &self,
        engine: &Engine,
        node: &NodeId,
        question: PeerRequest,
    ) -> Result<PeerHttpRequest, Unreachable> {
        let unreachable = |why: &str| Unreachable::of(node, why);
        let known = engine.nodes().await.map_err(|error| unreachable(&error.to_string()))?;
        let known = known.into_iter().find(|known| known.facts.id == *node);
        let known = known.ok_or_else(|| unreachable("the store no longer has a node with this name"))?;
        let no_way = |why: &str| Unreachable::by_no_way(node, unreachable_text(&known, why));
        let unnamed = || no_way("the node has no address: set node.address on that node");
        let address = known.offer.address.clone().ok_or_else(unnamed)?;
        let way = PeerAddress::of(&address, self.in_the_clear).map_err(no_way)?;
        let PeerRequest { target, body, time_limit } = question;
        let method = if body.is_some() { "POST" } else { "GET" };
        let unshared = || {
            unreachable(&unreachable_text(
                &known,
                "the nodes do not share a cluster key: set cluster_key to the path of the key file",
            ))
        };
        let proof = match (way, &self.secrets) {
            (PeerAddress::Socket, _) if known.facts.boot != self.boot => {
                return Err(no_way(
                    "the address of the node is a socket on another machine: set node.address on that node",
                ));
            }
            // The socket belongs to the same user, so no proof is needed. The header only prevents the node from
            // forwarding the request.
            (PeerAddress::Socket, _) => "socket".to_owned(),
            (PeerAddress::Network, None) => return Err(unshared()),
            (PeerAddress::Network, Some(secrets)) => {
                let digest = digest(body.as_deref().unwrap_or_default());
                let request = SignedRequest { method, target: &target, digest };
                prove(secrets.as_ref(), engine.node(), node, request).ok_or_else(unshared)?
            }
        };
        let mut headers = vec![(PEER_HEADER.to_owned(), proof)];
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        Ok(PeerHttpRequest { address, target, headers, body, time_limit })
    }
}

/// Adds the presence of a node in the cluster to the text that explains why the node is unreachable.
fn unreachable_text(known: &KnownNode, why: &str) -> String {
    match known.presence {
        Presence::Present { .. } => why.to_owned(),
        Presence::Unreachable { .. } => format!("{why}; the node does not renew its lease"),
        Presence::Lost { .. } => format!("{why}; the node is lost"),
        Presence::Left => format!("{why}; the node has left"),
    }
}

/// Converts an error reply from another node. The problem that it contains is passed on unchanged, up to the size
/// limit.
async fn refused(node: &NodeId, answer: PeerResponse) -> PeerRequestError {
    let status = answer.status;
    let unreachable = |why: String| PeerRequestError::Away(Unreachable::of(node, why));
    let read = tokio::time::timeout(PROMPT, whole(answer.body, MAX_PROBLEM_BYTES)).await;
    let problem = match read {
        Ok(Ok(Some(bytes))) => serde_json::from_slice::<Problem>(&bytes).ok(),
        Ok(Ok(None) | Err(_)) | Err(_) => None,
    };
    match (status, problem) {
        // The HTTP statuses 401, 403 and 421 concern access to the other node, not the content of the request.
        (401 | 403 | 421, Some(problem)) => {
            unreachable(format!("the node rejected the request: {}", problem.detail.unwrap_or(problem.title)))
        }
        (400..=599, Some(problem)) if problem.status == status => {
            PeerRequestError::Refused(ApiError::of_problem(problem))
        }
        (status, _) => unreachable(format!("the node replied with status {status}")),
    }
}

/// Returns the other node that stores the output of an attempt, or `None` if this node stores it.
pub(crate) async fn elsewhere(engine: &Engine, stored: &StoredProcess, attempt: AttemptNo) -> Option<NodeId> {
    let process = &stored.process;
    let node = process.node.as_ref().filter(|node| *node != engine.node())?;
    // A node without a cluster may have been renamed. Its output is then on this node, although the record contains the
    // old name.
    if !engine.is_shared() || process.spec.command().is_none() || attempt.0 == 0 {
        return None;
    }
    // Another node may have run a later attempt of the process, so this node may still store the output of this
    // attempt.
    let is_here = engine.output_size(AttemptKey { id: process.id, attempt }).await.is_ok();
    (!is_here).then(|| node.clone())
}
