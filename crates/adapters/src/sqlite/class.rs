//! Placement classes as text, so that an index can tell them apart.

use longhaul_domain::{NodeId, Placement};
use longhaul_ports::PlacementClass;

/// Names cannot hold control characters, so a separator is safe.
const SEPARATOR: &str = "\u{1f}";

/// What the classes of waiters that are pinned to a node begin with.
pub(super) const PINNED: &str = "node:";

pub(super) fn of_placement(placement: &Placement) -> String {
    match placement {
        Placement::Here => "here".to_owned(),
        Placement::Node(node) => pinned(node),
        Placement::Labels(labels) => {
            let words: Vec<&str> = labels.iter().map(|label| label.as_str()).collect();
            format!("labels:{}", words.join(SEPARATOR))
        }
        Placement::Anywhere => "anywhere".to_owned(),
    }
}

pub(super) fn of_class(class: &PlacementClass) -> String {
    match class {
        PlacementClass::Node(node) => pinned(node),
        PlacementClass::Shared(placement) => of_placement(placement),
    }
}

pub(super) fn pinned(node: &NodeId) -> String {
    format!("{PINNED}{node}")
}
