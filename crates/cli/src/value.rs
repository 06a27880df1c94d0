//! Values of flags, as people write them.

mod age;
mod at;
mod declared;
mod input;
mod percent;
mod reference;
mod retry;
mod signal;
mod size;
mod slots;
mod span;
mod watched;

pub use age::Age;
pub use at::At;
pub use declared::Declared;
pub use input::InputFrom;
pub use percent::Percent;
pub use retry::{Backoff, RetryOn};
pub use signal::Signal;
pub use size::Size;
pub use slots::Slots;
pub use span::{Span, length};
pub use watched::Watched;

pub(crate) use reference::{key, node_label, reference, word};

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
