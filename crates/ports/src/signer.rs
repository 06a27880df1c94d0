//! Port for signing launches and verifying their signatures.

use crate::NodeAdvertisement;
use longhaul_domain::{AttemptNo, LaunchSignature, NodeId, Process, Timestamp};
use std::fmt::Debug;

/// Signs launches, so that write access to the store alone does not allow a program to run commands.
///
/// A launch signature covers all fields that determine the executed command, its user and its node:
///
/// - the id of the process and its position in its tree
/// - the complete spec
/// - the user that commands run as
/// - the time until which the launch may be started
///
/// The signature does not cover values that change while the process exists, such as status, priority and times.
pub trait LaunchSigner: Debug + Send + Sync + 'static {
    /// Signs a process that this node is accepting. Returns `None` if launches are not signed.
    fn sign(&self, process: &Process) -> Option<LaunchSignature>;

    /// Verifies that the process has the spec that was signed. The expiry of the signature is not checked.
    ///
    /// # Errors
    /// Returns [`SignatureError`] if the signature is missing, does not match, or cannot be verified on this node.
    fn verify(&self, process: &Process) -> Result<(), SignatureError>;

    /// Verifies that the current attempt of a process may be started on this node now.
    ///
    /// # Errors
    /// Returns [`SignatureError`] if the attempt may not be started.
    fn admit(&self, process: &Process, here: &LaunchTarget<'_>) -> Result<(), SignatureError>;
}

/// The node and the time of a start that is to be verified.
#[derive(Clone, Copy, Debug)]
pub struct LaunchTarget<'a> {
    /// Node that will start the attempt if the verification succeeds.
    pub node: &'a NodeId,
    /// Labels and capacity that the node advertises.
    pub offer: &'a NodeAdvertisement,
    /// Time at which the attempt will start.
    pub now: Timestamp,
}

/// The reason why a launch is not trusted. Everyone with read access to the store may read this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The launch has no signature.
    #[error("this launch has no signature")]
    Missing,
    /// The signature is malformed.
    #[error("the signature of this launch cannot be read")]
    Unreadable,
    /// The launch was signed with a key that this node does not have.
    #[error("this launch was signed with the cluster key {key}, which this node does not have")]
    UnknownKey {
        /// Id of the key, as given in the signature.
        key: String,
    },
    /// The launch does not match its signature.
    #[error(
        "the signature does not match this launch: its record was changed, or the signature is that of another launch"
    )]
    Altered,
    /// The command would run as a different user than the user that accepted the launch.
    #[error("this launch was accepted by the user {sealed:?}, but commands of this node run as {here:?}")]
    OtherUser {
        /// User account in which the launch was accepted.
        sealed: String,
        /// User that this node runs commands as.
        here: String,
    },
    /// The placement in the spec excludes this node.
    #[error("this launch was signed for other nodes, not for {here}")]
    WrongNode {
        /// Name of this node.
        here: NodeId,
    },
    /// The time until which the launch may be started has passed.
    #[error("this launch has expired")]
    Expired {
        /// Time until which the launch could be started.
        until: Timestamp,
    },
    /// The number of the attempt is higher than the retry policy allows.
    #[error("attempt {attempt} of this launch exceeds the maximum of its retry policy, {limit}")]
    TooOften {
        /// Number of the refused attempt.
        attempt: AttemptNo,
        /// Highest attempt number that the retry policy allows.
        limit: u32,
    },
}

impl SignatureError {
    /// Returns an instruction for the user on how to resolve the error.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Missing | Self::Unreadable => "launch the command again",
            Self::UnknownKey { .. } => {
                "copy the file of the cluster key from the node that accepted the launch, and launch the command \
                 again"
            }
            Self::OtherUser { .. } => "launch the command again on a node whose manager runs as that user",
            Self::WrongNode { .. } => "launch the command again for a node on which it may run",
            Self::Expired { .. } => {
                "launch the command again; node.launch_valid_for sets how long launches are \
                                     valid"
            }
            Self::Altered | Self::TooOften { .. } => {
                "find out which program other than the managers writes to the store; launch the command again if it \
                 is still needed"
            }
        }
    }
}

/// A signer that signs nothing and accepts every launch. It is meant for a store to which only the manager itself has
/// access.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopSigner;

impl LaunchSigner for NoopSigner {
    fn sign(&self, _process: &Process) -> Option<LaunchSignature> {
        None
    }

    fn verify(&self, _process: &Process) -> Result<(), SignatureError> {
        Ok(())
    }

    fn admit(&self, _process: &Process, _here: &LaunchTarget<'_>) -> Result<(), SignatureError> {
        Ok(())
    }
}
