//! Errors that occur in requests to other nodes.

use crate::error::ApiError;
use longhaul_domain::{NodeId, ProcessId};
use longhaul_engine::ports::PeerError;
use longhaul_engine::with_causes;

/// An unreachable node, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable {
    pub(crate) node: NodeId,
    pub(crate) why: String,
    cure: PeerErrorRemedy,
}

/// Action with which the user can make a node reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerErrorRemedy {
    /// Wait until the node is running again.
    Return,
    /// Trust the certificate of the node.
    Trust,
    /// Set a usable address for the node.
    Address,
}

/// Error in a request to another node.
#[derive(Clone, Debug)]
pub(crate) enum PeerRequestError {
    /// The node could not be reached, or its reply was not usable.
    Away(Unreachable),
    /// The node refused the request.
    Refused(ApiError),
}

impl Unreachable {
    pub(crate) fn of(node: &NodeId, why: impl Into<String>) -> Self {
        Self { node: node.clone(), why: why.into(), cure: PeerErrorRemedy::Return }
    }

    /// Creates the error for a node without a usable address, regardless of whether the node is running.
    pub(super) fn by_no_way(node: &NodeId, why: impl Into<String>) -> Self {
        Self { cure: PeerErrorRemedy::Address, ..Self::of(node, why) }
    }

    /// Creates the error for a failure of the transport.
    pub(crate) fn by(node: &NodeId, error: &PeerError) -> Self {
        let cure = if matches!(error, PeerError::Untrusted { .. }) {
            PeerErrorRemedy::Trust
        } else {
            PeerErrorRemedy::Return
        };
        Self { cure, ..Self::of(node, with_causes(error)) }
    }

    /// Converts the error to a reply for a client that requested output which only the unreachable node has.
    pub(crate) fn output(self, id: ProcessId) -> ApiError {
        self.stored_there("output", "is", id)
    }

    /// Converts the error to a reply for a client that requested artifacts. No other node than the unreachable one has
    /// these artifacts.
    pub(crate) fn artifacts(self, id: ProcessId) -> ApiError {
        self.stored_there("artifacts", "are", id)
    }

    fn stored_there(self, what: &str, verb: &str, id: ProcessId) -> ApiError {
        let Self { node, why, cure } = self;
        let help = match cure {
            PeerErrorRemedy::Return => {
                format!(
                    "use the manager of that node, or try again when `longhaul node list` shows {node} here"
                )
            }
            PeerErrorRemedy::Trust => format!(
                "use the manager of {node}, or make this node trust the certificate of {node}: \
                `node.peer_ca_file` names a file with CA certificates, and the certificate must contain \
                the host of the `node.address` of {node}"
            ),
            PeerErrorRemedy::Address => {
                format!(
                    "use the manager of that node, or set `node.address` on {node} to an address that this node reaches"
                )
            }
        };
        ApiError::new(503, "node_unreachable", format!("the {what} of {} {verb} on node {node}", id.short()))
            .because(why)
            .help(help)
    }

    /// Converts the error to a reply for a client that sent input. If only the reply of the other node was lost, the
    /// command may still have received the input.
    pub(crate) fn input(self, id: ProcessId) -> ApiError {
        let Self { node, why, .. } = self;
        ApiError::new(503, "node_unreachable", format!("{} reads its input on node {node}", id.short()))
            .because(why)
            .help(
                "longhaul does not store input for a later delivery; if the input was sent, the process \
                 may have read it: check the output of the process",
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_that_is_not_trusted_is_not_waited_for() {
        let node: NodeId = "b".parse().unwrap();
        let id: ProcessId = "3f2a9c1b-0000-4000-8000-000000000000".parse().unwrap();
        let address = "https://b:7337".to_owned();
        let help = |error: &PeerError| Unreachable::by(&node, error).output(id).into_problem().help.unwrap();
        let untrusted = PeerError::Untrusted { address: address.clone(), source: "UnknownIssuer".into() };
        assert!(help(&untrusted).contains("node.peer_ca_file"), "{}", help(&untrusted));
        let gone = PeerError::Silent { address };
        assert!(help(&gone).contains("when `longhaul node list` shows b here"), "{}", help(&gone));
    }
}
