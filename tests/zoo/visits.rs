//! What is tried with each creature, and what must be told of it.

mod kernel;
mod killers;
mod output;
mod stubborn;
mod vandals;
mod wanderers;

use crate::cell::Cell;

/// Shows a creature in a cell; panics with what is wrong.
pub(crate) type Visit = fn(&Cell);

/// Every visit with its name, the longest ones first.
pub(crate) fn all() -> Vec<(&'static str, Visit)> {
    [kernel::VISITS, wanderers::VISITS, killers::VISITS, vandals::VISITS, stubborn::VISITS, output::VISITS]
        .concat()
}
