//! Types that parse the values of command-line flags.

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

pub use age::AgeArg;
pub use at::StartTime;
pub use declared::EnvArg;
pub use input::StdinArg;
pub use percent::PercentArg;
pub use retry::{BackoffArg, RetryOnArg};
pub use signal::SignalArg;
pub use size::SizeArg;
pub use slots::SlotsArg;
pub use span::{DurationArg, length};
pub use watched::WatchArg;

pub(crate) use reference::{key, node_label, reference, word};

/// Error for a flag value that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadValue {
    /// Reason for the error, with an example of a valid value.
    why: String,
}

impl BadValue {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}
