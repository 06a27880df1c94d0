//! Scenarios with the test programs, called visits, and the reports that are expected from the manager.

mod kernel;
mod killers;
mod output;
mod stubborn;
mod vandals;
mod wanderers;

use crate::cell::Cell;

/// Function that runs a test program under a manager. It panics if a check fails.
pub(crate) type Visit = fn(&Cell);

/// Returns all visits with their names. The longest visits come first.
pub(crate) fn all() -> Vec<(&'static str, Visit)> {
    [kernel::VISITS, wanderers::VISITS, killers::VISITS, vandals::VISITS, stubborn::VISITS, output::VISITS]
        .concat()
}
