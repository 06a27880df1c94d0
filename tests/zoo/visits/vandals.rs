//! One that lays hands on what is kept of it: whatever it does there, no end is invented.

use super::Visit;
use crate::cell::Cell;
use crate::creature::{Creature, end};
use serde_json::Value;
use std::fs;

pub(crate) const VISITS: &[(&str, Visit)] = &[
    ("truncates what is kept of it", truncates),
    ("forges its end", forges),
    ("links its files elsewhere", links),
    ("removes its directory", removes),
    ("stands in the way of its record", blocks),
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

/// Its record cannot be written as long as something stands there, and its end is told all the same.
fn blocks(cell: &Cell) {
    let creature = cell.show(&["vandal", "blocks"], &Value::Null);
    ends_truly(&creature);
    // Nobody but its owner may take that away; then its supervisor can leave.
    let log = creature.view()["log_path"].as_str().unwrap().to_owned();
    let directory = std::path::Path::new(&log).parent().unwrap();
    for name in ["exit", "exit.tmp"] {
        let place = directory.join(name);
        if place.is_dir() {
            fs::remove_dir_all(place).unwrap();
        }
    }
}

/// It runs until it is stopped, and that is what is told.
fn ends_truly(creature: &Creature) {
    let view = creature.cancelled();
    assert_eq!(end(&view), ("cancelled", None, Some(15), Some("user"), Some(15)), "{view}");
}
