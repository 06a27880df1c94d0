//! Whether a launch is what somebody asked for who may ask.

use crate::NodeAdvertisement;
use longhaul_domain::{AttemptNo, LaunchSignature, NodeId, Process, Timestamp};
use std::fmt::Debug;

/// Vouches for launches, where whoever can write to the store shall not thereby run commands.
///
/// A seal covers everything that decides what is executed, by whom and where: the identity of the process, its whole
/// specification, its place in its tree, the user that commands run as, and until when it may be started. It does not
/// cover what changes in a life, such as status, priority, and times.
pub trait LaunchSigner: Debug + Send + Sync + 'static {
    /// Vouches for a process that is accepted now; none where nobody asks for it.
    fn seal(&self, process: &Process) -> Option<LaunchSignature>;

    /// Whether the specification of a process, as it was read, is the one that was vouched for. It may be too late to
    /// start it.
    ///
    /// # Errors
    /// [`SignatureError`] if it is not, or nobody here can tell.
    fn verify(&self, process: &Process) -> Result<(), SignatureError>;

    /// Whether the present attempt of a process may be started here and now.
    ///
    /// # Errors
    /// [`SignatureError`] if it may not.
    fn admit(&self, process: &Process, here: &LaunchTarget<'_>) -> Result<(), SignatureError>;
}

/// Where and when something would be started.
#[derive(Clone, Copy, Debug)]
pub struct LaunchTarget<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// What it offers.
    pub offer: &'a NodeAdvertisement,
    /// The moment.
    pub now: Timestamp,
}

/// Why a launch is not trusted. Whatever is told of it may be read by whoever can read the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Nobody vouched for it.
    #[error("this launch has no signature")]
    Missing,
    /// Its seal cannot be read.
    #[error("the signature of this launch cannot be read")]
    Unreadable,
    /// It was sealed with a key that is not here.
    #[error("this launch was signed with the cluster key {key}, which this node does not have")]
    UnknownKey {
        /// The id of the key, as the seal tells it.
        key: String,
    },
    /// It is not what was vouched for.
    #[error(
        "the signature does not match this launch: its record was changed, or the signature is that of another launch"
    )]
    Altered,
    /// Its commands would run as somebody else than who accepted it.
    #[error("this launch was accepted by the user {sealed:?}, but commands of this node run as {here:?}")]
    OtherUser {
        /// Who accepted it.
        sealed: String,
        /// Whose node this is.
        here: String,
    },
    /// It may not run on this node.
    #[error("this launch was signed for other nodes than {here}")]
    WrongNode {
        /// This node.
        here: NodeId,
    },
    /// It waited too long.
    #[error("this launch has expired")]
    Expired {
        /// Until when it was.
        until: Timestamp,
    },
    /// Its policy leads to fewer attempts.
    #[error("attempt {attempt} of this launch exceeds the maximum of its retry policy, {most}")]
    TooOften {
        /// Which.
        attempt: AttemptNo,
        /// The most.
        most: u32,
    },
}

impl SignatureError {
    /// What to do about it.
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

/// Vouches for nothing and asks for nothing, which is right where the store is as private as the state of the manager.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopSigner;

impl LaunchSigner for NoopSigner {
    fn seal(&self, _process: &Process) -> Option<LaunchSignature> {
        None
    }

    fn verify(&self, _process: &Process) -> Result<(), SignatureError> {
        Ok(())
    }

    fn admit(&self, _process: &Process, _here: &LaunchTarget<'_>) -> Result<(), SignatureError> {
        Ok(())
    }
}
