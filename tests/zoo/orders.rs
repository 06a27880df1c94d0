//! Who is killed first, and when the commands end: what a manager tells that begins again is true all the same.
//!
//! The kernel tells least of programs that their user cannot look into, so that those end beside ordinary ones.

use crate::cell::Cell;
use crate::creature::{Creature, end};
use longhaul_tests::{is_alive, kill, stat, until};
use serde_json::{Value, json};

/// Who is killed, and in which order.
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
    /// After the kills, before anybody asks what became of them.
    Before,
    /// After somebody asked.
    After,
}

/// A part of all rounds that has every order and both moments.
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

/// How a command ends, and whether it may be that nobody sees that.
#[derive(Clone, Copy, Debug)]
struct Ends {
    number: i64,
    may_be_unseen: bool,
}

/// How commands end: by a code, or by a signal where it is negative.
const ENDS: [i64; 3] = [0, 33, -15];

/// Kills in this order, and holds what is told of each end against how it ended.
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
                // The manager is the parent of what lost its supervisor, and sees how an ordinary program ends.
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

/// Another end than the true one is never told.
fn is_true(view: &Value, Ends { number, may_be_unseen }: Ends) -> bool {
    let told = end(view);
    let truth = match number {
        0 => ("completed", Some(0), None, None, None),
        1.. => ("failed", Some(number), None, None, None),
        _ => ("failed", None, Some(-number), None, None),
    };
    told == truth || may_be_unseen && told == ("interrupted", None, None, None, None)
}
