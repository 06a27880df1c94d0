//! Kills managers and shims in different orders, before or after the commands end. The reports of the next manager must
//! be true in every case.
//!
//! The kernel hides most facts about a program that its user may not inspect, so such programs run in addition to
//! ordinary ones.

use crate::cell::Cell;
use crate::creature::{Creature, end};
use longhaul_tests::{is_alive, kill, stat, until};
use serde_json::{Value, json};

/// The programs that are killed, and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Manager,
    Supervisors,
    ManagerFirst,
    SupervisorsFirst,
}

/// When the commands end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The commands end after the kills and before the first request to the next manager.
    Before,
    /// The commands end after the first request to the next manager.
    After,
}

/// A sample of the rounds that includes every order and both moments.
pub(crate) const SAMPLE: [(Order, Moment); 4] = [
    (Order::Manager, Moment::Before),
    (Order::SupervisorsFirst, Moment::After),
    (Order::ManagerFirst, Moment::Before),
    (Order::Supervisors, Moment::After),
];

/// All rounds.
pub(crate) const ALL: [(Order, Moment); 8] = [
    (Order::Manager, Moment::Before),
    (Order::Manager, Moment::After),
    (Order::Supervisors, Moment::Before),
    (Order::Supervisors, Moment::After),
    (Order::ManagerFirst, Moment::Before),
    (Order::ManagerFirst, Moment::After),
    (Order::SupervisorsFirst, Moment::Before),
    (Order::SupervisorsFirst, Moment::After),
];

/// How a command ends. `may_be_unseen` is true if possibly no program observes the end.
#[derive(Clone, Copy, Debug)]
struct Ends {
    number: i64,
    may_be_unseen: bool,
}

/// How the commands end: a number that is not negative is an exit code, a negative number is a signal.
const ENDS: [i64; 3] = [0, 33, -15];

/// Kills the programs in this order, and compares each reported end with the real one.
pub(crate) fn round(cell: &mut Cell, order: Order, moment: Moment) {
    let shown: Vec<(String, Ends, Creature)> = ["plain", "undumpable", "unreadable"]
        .into_iter()
        .flat_map(|kind| ENDS.map(|ends| (kind, ends)))
        .map(|(kind, ends)| {
            let program = if kind == "unreadable" { "zoo-unreadable" } else { "zoo" };
            let more = json!({"program": cell.program(program)});
            let creature = cell.show(&["ends", kind, &ends.to_string()], &more);
            let may_be_unseen = match order {
                Order::Manager => false,
                // The manager becomes the parent of a command whose shim was killed. It can read the exit status of
                // ordinary programs only.
                Order::Supervisors => kind != "plain",
                Order::ManagerFirst | Order::SupervisorsFirst => true,
            };
            let what = format!("{kind} that ends by {ends}, {order:?} {moment:?}");
            (what, Ends { number: ends, may_be_unseen }, creature)
        })
        .collect();
    let commands: Vec<u32> = shown
        .iter()
        .map(|(_, _, creature)| {
            creature.until_ready();
            creature.pid()
        })
        .collect();
    let supervisors: Vec<u32> = commands.iter().map(|pid| stat(*pid).unwrap().parent).collect();
    let kill_supervisors = || supervisors.iter().for_each(|pid| kill("-KILL", *pid));
    let let_go = || shown.iter().for_each(|(_, _, creature)| creature.let_go());
    match order {
        Order::Manager => cell.end_manager(),
        Order::Supervisors => kill_supervisors(),
        Order::ManagerFirst => {
            cell.end_manager();
            kill_supervisors();
        }
        Order::SupervisorsFirst => {
            kill_supervisors();
            cell.end_manager();
        }
    }
    if moment == Moment::Before {
        let_go();
        until("all commands have ended", || commands.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }
    if order != Order::Supervisors {
        cell.begin_again();
    }
    if moment == Moment::After {
        shown.iter().for_each(|(_, _, creature)| drop(creature.view()));
        let_go();
    }
    for (what, ends, creature) in &shown {
        assert!(is_true(&creature.ends(), *ends), "{what}: {}", creature.view());
    }
}

/// Returns true if the reported end is the real one, or is reported as unknown and may be unknown.
fn is_true(view: &Value, Ends { number, may_be_unseen }: Ends) -> bool {
    let reported = end(view);
    let truth = match number {
        0 => ("completed", Some(0), None, None, None),
        1.. => ("failed", Some(number), None, None, None),
        _ => ("failed", None, Some(-number), None, None),
    };
    reported == truth || may_be_unseen && reported == ("interrupted", None, None, None, None)
}
