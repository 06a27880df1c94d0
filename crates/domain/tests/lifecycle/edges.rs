//! The list of permitted status changes.

use crate::inputs::{COLUMNS, column, exited, input};
use crate::situations::{situations, stubborn};
use longhaul_domain::Status::{self, *};
use longhaul_domain::{AttemptNo, Decision, Effect, Ending, Event, ExitStatus, Fact, NoOpReason, StopCause};
use std::collections::BTreeSet;

/// All status changes that a single decision can cause.
const LEGAL: [(Status, Status); 34] = [
    (Pending, Starting),
    (Pending, Running), // reported work that waited for a slot
    (Pending, Cancelled),
    (Starting, Pending), // the attempt never ran, or is retried
    (Starting, Running),
    (Starting, Stopping),
    (Starting, Completed), // exited before the start was reported
    (Starting, Failed),
    (Starting, Timeout),
    (Starting, Cancelled), // stopped by its shim without a request of a manager
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
    (Stopping, Pending),   // stopped for its timeout, and is retried
    (Stopping, Running),   // stopped for its timeout, and waits for its descendants
    (Stopping, Completed), // the work was completed before the stop, or before the reporter got the cancel
    (Stopping, Failed),    // the command had failed before the stop
    (Stopping, Timeout),
    (Stopping, Cancelled),
    (Stopping, Interrupted),
];

#[test]
fn one_decision_changes_the_status_only_along_the_legal_edges() {
    let mut found = BTreeSet::new();
    for (_, situation) in situations() {
        for name in COLUMNS {
            // An exit that happened before the stop of the situation.
            let before_stop = (name == "exited_1").then(|| input(name, situation.process.attempt));
            for input in column(name, &situation.process).into_iter().chain(before_stop) {
                let Ok(step) = situation.process.decide(&situation.ctx, &situation.live_stats, &input) else {
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

/// Returns true if the status is unchanged or the change is in [`LEGAL`].
pub(crate) fn is_legal(from: Status, to: Status) -> bool {
    from == to || LEGAL.contains(&(from, to))
}

#[test]
fn a_stop_that_only_its_lost_node_heard_of_ends_the_process_when_it_becomes_known() {
    let lost = || stubborn().after(&["claimed", "spawned", "orphaned"]);
    let again = lost().later(3600).after(&["tick", "claimed", "spawned"]);
    assert_eq!((again.process.status(), again.process.attempt), (Status::Running, AttemptNo(2)));
    let first = |cause| exited(AttemptNo(1), ExitStatus::Signal { number: 15, core: false }, cause);
    for cause in [StopCause::User, StopCause::Parent, StopCause::Session] {
        let step = again.process.decide(&again.ctx, &again.live_stats, &first(Some(cause))).unwrap();
        assert_eq!(step.effects, [Effect::Stop { attempt: AttemptNo(2), cause }], "{cause:?}");
    }
    for cause in [None, Some(StopCause::Timeout), Some(StopCause::Shutdown), Some(StopCause::Limit)] {
        let step = again.process.decide(&again.ctx, &again.live_stats, &first(cause)).unwrap();
        assert_eq!(step, Decision::noted(NoOpReason::Stale), "{cause:?}");
    }
    let waiting = lost();
    assert_eq!((waiting.process.status(), waiting.process.attempt), (Status::Pending, AttemptNo(1)));
    let step =
        waiting.process.decide(&waiting.ctx, &waiting.live_stats, &first(Some(StopCause::User))).unwrap();
    let ends = |event: &Event| matches!(event.fact, Fact::Ended { ending: Ending::Cancelled { .. }, .. });
    assert!(step.events.iter().any(ends), "{step:?}");
}
