//! What vouches for a launch.

/// A text that vouches for what a process was launched to do, where a store alone is not trusted with that.
///
/// Nothing here reads it: whoever made it can tell whether it belongs to a process. It is no secret, and part of no
/// decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSignature(pub String);
