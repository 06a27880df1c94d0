//! Visits with a program that damages the files of its own attempt. The manager must not report a wrong end of the
//! attempt because of the damage.

use super::Visit;
use crate::cell::Cell;
use crate::creature::{Creature, end};
use serde_json::Value;
use std::fs;

pub(crate) const VISITS: &[(&str, Visit)] = &[
    ("truncates its files", truncates),
    ("forges its exit record", forges),
    ("links its files elsewhere", links),
    ("removes its directory", removes),
    ("blocks its exit record", blocks),
];

fn truncates(cell: &Cell) {
    ends_truly(&cell.show(&["vandal", "truncates"], &Value::Null));
}

fn forges(cell: &Cell) {
    ends_truly(&cell.show(&["vandal", "forges"], &Value::Null));
}

fn links(cell: &Cell) {
    ends_truly(&cell.show(&["vandal", "links"], &Value::Null));
}

fn removes(cell: &Cell) {
    ends_truly(&cell.show(&["vandal", "removes"], &Value::Null));
}

/// The exit record cannot be written while a directory has its name. The end must be reported nevertheless.
fn blocks(cell: &Cell) {
    let creature = cell.show(&["vandal", "blocks"], &Value::Null);
    ends_truly(&creature);
    // Remove the directories, which only their owner may do. The shim can then write the exit record and exit.
    let log = creature.view()["log_path"].as_str().unwrap().to_owned();
    let directory = std::path::Path::new(&log).parent().unwrap();
    for name in ["exit", "exit.tmp"] {
        let place = directory.join(name);
        if place.is_dir() {
            fs::remove_dir_all(place).unwrap();
        }
    }
}

/// Checks that the program runs until it is cancelled, and that it is reported as cancelled.
fn ends_truly(creature: &Creature) {
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}
