//! The signature of a launch.

/// A message authentication code that proves that a launch may be executed. It is used where write access to the store
/// must not be sufficient to run commands.
///
/// Only the signer that created the signature can verify that it belongs to a process. The signature is not secret and
/// has no influence on decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSignature(pub String);
