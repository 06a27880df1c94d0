//! Values of flags, as people write them.

mod declared;
mod percent;
mod reference;
mod retry;
mod signal;
mod size;
mod span;

pub use declared::Declared;
pub use percent::Percent;
pub use retry::{Backoff, RetryOn};
pub use signal::Signal;
pub use size::Size;
pub use span::Span;

pub(crate) use reference::reference;

/// What is no value of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadValue {
    /// Why not, and what would be one.
    why: String,
}

impl BadValue {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}
