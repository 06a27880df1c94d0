//! What the verbs do.

mod cancel;
mod explain;
mod foreground;
mod inspect;
mod logs;
mod order;
mod progress;
mod restart;
mod run;
mod status;
mod wait;

pub(crate) use cancel::cancel;
pub(crate) use explain::explain;
pub(crate) use inspect::inspect;
pub(crate) use logs::logs;
pub(crate) use order::{pause, resume, retry};
pub(crate) use progress::progress;
pub(crate) use restart::restart;
pub(crate) use run::run;
pub(crate) use status::status;
pub(crate) use wait::wait;

use crate::dispatch::Context;
use crate::exit_code::{DONE, Regime, of_failure};
use crate::failure::Failure;

/// Tells of a failure that does not keep the other processes from their turn, and gives its exit code.
fn complained(context: &Context, failure: Failure) -> i32 {
    let code = of_failure(&failure, Regime::Control);
    context.console.complain(failure);
    code
}

/// Gives the first code that is not zero.
fn first_failed(codes: impl IntoIterator<Item = i32>) -> i32 {
    codes.into_iter().find(|code| *code != DONE).unwrap_or(DONE)
}

#[cfg(test)]
mod tests;
