//! Questions to the managers of other nodes: what only they have.

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

/// How long another node may take to begin an answer that is there at once.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);
/// How much longer than its head may take a whole answer may take.
const REST: Duration = Duration::from_secs(2);
/// The most bytes of a refusal.
const MAX_PROBLEM_BYTES: usize = 16 * 1024;

/// What is needed to ask other nodes. Clones share it.
#[derive(Clone, Debug)]
pub struct PeerClient(PeerAccess);

/// Whom this manager may ask.
#[derive(Clone, Debug)]
enum PeerAccess {
    /// Nobody: it was put together without a way to them.
    Nobody,
    /// Nobody on behalf of a node that asks itself: questions are never passed on twice.
    Forbidden,
    Everybody(Arc<PeerConfig>),
}

/// How other nodes are asked.
#[derive(Debug)]
pub struct PeerConfig {
    /// Carries requests.
    pub carrier: Arc<dyn ports::PeerTransport>,
    /// What is proven to them over the network; without it only sockets of this machine are asked.
    pub secrets: Option<Arc<dyn PeerSecrets>>,
    /// The boot of this machine: a node of another boot has its sockets elsewhere.
    pub boot: String,
    /// Output and input may cross the network in the clear.
    pub in_the_clear: bool,
}

/// A question to another node.
#[derive(Clone, Debug)]
pub(crate) struct PeerRequest {
    /// The path and the query.
    pub(crate) target: String,
    /// What is sent along; without it nothing changes there.
    pub(crate) body: Option<Vec<u8>>,
    /// How long the head of the answer may take.
    pub(crate) patience: Duration,
}

impl PeerClient {
    /// Asks nobody.
    #[must_use]
    pub const fn none() -> Self {
        Self(PeerAccess::Nobody)
    }

    /// Asks the other nodes of the store.
    #[must_use]
    pub fn new(ways: PeerConfig) -> Self {
        Self(PeerAccess::Everybody(Arc::new(ways)))
    }

    /// For what a node asks itself.
    pub(crate) const fn forbidden() -> Self {
        Self(PeerAccess::Forbidden)
    }

    /// Whether it is a node itself that asks here.
    pub(crate) const fn is_forbidden(&self) -> bool {
        match self.0 {
            PeerAccess::Forbidden => true,
            PeerAccess::Nobody | PeerAccess::Everybody(_) => false,
        }
    }

    /// Asks a node, and gives its answer read as what it should be; one of more bytes than `most` is none.
    pub(crate) async fn fetch<T: DeserializeOwned>(
        &self,
        engine: &Engine,
        node: &NodeId,
        question: PeerRequest,
        most: usize,
    ) -> Result<T, PeerRequestError> {
        let until = Instant::now() + question.patience.saturating_add(REST);
        let answer = self.ask(engine, node, question).await?;
        let read = tokio::time::timeout_at(until, whole(answer.body, most)).await;
        let unreachable = |why: &str| PeerRequestError::Away(Unreachable::of(node, why));
        let bytes = read
            .map_err(|_| unreachable("the reply of the node is incomplete"))?
            .map_err(|error| PeerRequestError::Away(Unreachable::by(node, &error)))?
            .ok_or_else(|| unreachable("the reply of the node is longer than requested"))?;
        serde_json::from_slice(&bytes).map_err(|_| unreachable("the reply of the node cannot be decoded"))
    }

    /// Asks a node, and gives its answer if it is one.
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
                return Err(unreachable("this manager was built without connections to other nodes"));
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
    /// What is sent to a node, and where.
    async fn call(
        &self,
        engine: &Engine,
        node: &NodeId,
        question: PeerRequest,
    ) -> Result<PeerHttpRequest, Unreachable> {
        let unreachable = |why: &str| Unreachable::of(node, why);
        let known = engine.nodes().await.map_err(|error| unreachable(&error.to_string()))?;
        let known = known.into_iter().find(|known| known.facts.id == *node);
        let known = known.ok_or_else(|| unreachable("the store has no node with this name any more"))?;
        let no_way = |why: &str| Unreachable::by_no_way(node, told(&known, why));
        let unnamed = || no_way("the node has no address: set node.address there");
        let address = known.offer.address.clone().ok_or_else(unnamed)?;
        let way = PeerAddress::of(&address, self.in_the_clear).map_err(no_way)?;
        let PeerRequest { target, body, patience } = question;
        let method = if body.is_some() { "POST" } else { "GET" };
        let unshared = || {
            unreachable(&told(
                &known,
                "the nodes do not share a cluster key: set cluster_key to its \
         file",
            ))
        };
        let proof = match (way, &self.secrets) {
            (PeerAddress::Socket, _) if known.facts.boot != self.boot => {
                return Err(no_way(
                    "the address of the node is a socket on another machine: set node.address there",
                ));
            }
            // Whoever owns the socket is the same user. What is said says only that it is not to be passed on.
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
        Ok(PeerHttpRequest { address, target, headers, body, patience })
    }
}

/// Why a node cannot be asked, with what is known of it.
fn told(known: &KnownNode, why: &str) -> String {
    match known.presence {
        Presence::Present { .. } => why.to_owned(),
        Presence::Unreachable { .. } => format!("{why}; the node does not renew its lease"),
        Presence::Lost { .. } => format!("{why}; the node is lost"),
        Presence::Left => format!("{why}; the node has left"),
    }
}

/// A refusal of another node. What it says is shown as it is, within bounds.
async fn refused(node: &NodeId, answer: PeerResponse) -> PeerRequestError {
    let status = answer.status;
    let unreachable = |why: String| PeerRequestError::Away(Unreachable::of(node, why));
    let read = tokio::time::timeout(PROMPT, whole(answer.body, MAX_PROBLEM_BYTES)).await;
    let problem = match read {
        Ok(Ok(Some(bytes))) => serde_json::from_slice::<Problem>(&bytes).ok(),
        Ok(Ok(None) | Err(_)) | Err(_) => None,
    };
    match (status, problem) {
        // What the way there refuses says nothing about what was asked.
        (401 | 403 | 421, Some(problem)) => {
            unreachable(format!("the node rejected the request: {}", problem.detail.unwrap_or(problem.title)))
        }
        (400..=599, Some(problem)) if problem.status == status => {
            PeerRequestError::Refused(ApiError::of_problem(problem))
        }
        (status, _) => unreachable(format!("the node replied with status {status}")),
    }
}

/// Where the output of an attempt lies, if that is another node.
pub(crate) async fn elsewhere(engine: &Engine, stored: &StoredProcess, attempt: AttemptNo) -> Option<NodeId> {
    let process = &stored.process;
    let node = process.node.as_ref().filter(|node| *node != engine.node())?;
    // A machine by itself may have been given another name.
    if !engine.is_shared() || process.spec.command().is_none() || attempt.0 == 0 {
        return None;
    }
    // It may have gone on elsewhere since.
    let is_here = engine.output_size(AttemptKey { id: process.id, attempt }).await.is_ok();
    (!is_here).then(|| node.clone())
}
