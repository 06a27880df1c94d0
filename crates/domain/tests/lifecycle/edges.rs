//! The legal changes of status, as one list.

use crate::inputs::{COLUMNS, column};
use crate::situations::situations;
use longhaul_domain::Status::{self, *};
use std::collections::BTreeSet;

/// Every change of status that one decision can bring about.
const LEGAL: [(Status, Status); 33] = [
    (Pending, Starting),
    (Pending, Running), // reported work that waited for a slot
    (Pending, Cancelled),
    (Starting, Pending), // it never ran, or is tried again
    (Starting, Running),
    (Starting, Stopping),
    (Starting, Completed), // over before its start was heard of
    (Starting, Failed),
    (Starting, Timeout),
    (Starting, Cancelled), // stopped by its supervisor while nobody else was there
    (Starting, Interrupted),
    (Running, Pending),
    (Running, Paused),
    (Running, Stopping),
    (Running, Completed),
    (Running, Failed),
    (Running, Timeout),
    (Running, Cancelled),
    (Running, Interrupted),
    (Paused, Pending),
    (Paused, Running),
    (Paused, Stopping),
    (Paused, Completed),
    (Paused, Failed),
    (Paused, Timeout),
    (Paused, Cancelled),
    (Paused, Interrupted),
    (Stopping, Pending),   // stopped for a timeout that is tried again
    (Stopping, Running),   // stopped for its timeout, and awaits its children
    (Stopping, Completed), // the reporter was faster than the cancel
    (Stopping, Timeout),
    (Stopping, Cancelled),
    (Stopping, Interrupted),
];

#[test]
fn one_decision_changes_the_status_only_along_the_legal_edges() {
    let mut found = BTreeSet::new();
    for (_, situation) in situations() {
        for name in COLUMNS {
            for input in column(name, &situation.process) {
                let Ok(step) = situation.process.decide(&situation.ctx, &situation.vitals, &input) else {
                    continue;
                };
                let mut after = situation.process.clone();
                after.evolve(&step.events);
                if after.status() != situation.process.status() {
                    found.insert((situation.process.status(), after.status()));
                }
            }
        }
    }
    assert_eq!(found, BTreeSet::from(LEGAL));
}

/// Whether a change of status is on the list, or none.
pub(crate) fn is_legal(from: Status, to: Status) -> bool {
    from == to || LEGAL.contains(&(from, to))
}
