//! Scenarios of the test programs, and the expected reports.

mod kernel;
mod killers;
mod output;
mod stubborn;
mod vandals;
mod wanderers;

use crate::cell::Cell;

/// Runs a test program in a cell; panics on a violation.
pub(crate) type Visit = fn(&Cell);

/// Returns all visits with their names, the longest ones first.
pub(crate) fn all() -> Vec<(&'static str, Visit)> {
    [kernel::VISITS, wanderers::VISITS, killers::VISITS, vandals::VISITS, stubborn::VISITS, output::VISITS]
        .concat()
}
