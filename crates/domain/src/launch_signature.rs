//! The signature of a launch.

/// The MAC that proves that a launch may be executed, for deployments where write access to the store is not enough.
///
/// Only the signer that created the signature can verify that it belongs to a process. The signature is not secret and
/// has no influence on decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSignature(pub String);
