//! Placement classes as text, so that an index can tell them apart.

use longhaul_domain::{Capability, NodeId, Placement};
use longhaul_ports::PlacementClass;

/// Names cannot hold control characters, so a separator is safe.
const SEPARATOR: &str = "\u{1f}";

/// What the classes of waiters that are pinned to a node begin with.
pub(super) const PINNED: &str = "node:";
/// What the classes of waiters that are placed by labels begin with.
const LABELLED: &str = "labels:";

pub(super) fn of_placement(placement: &Placement) -> String {
    match placement {
        Placement::Here => "here".to_owned(),
        Placement::Node(node) => pinned(node),
        Placement::Labels(labels) => {
            let words: Vec<&str> = labels.iter().map(|label| label.as_str()).collect();
            format!("{LABELLED}{}", words.join(SEPARATOR))
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

/// The labels of a class of waiters that are placed by labels; none for another class.
pub(super) fn labels(class: &str) -> Option<Vec<Capability>> {
    let words = class.strip_prefix(LABELLED)?.split(SEPARATOR).filter(|word| !word.is_empty());
    words.map(|word| Capability::new(word).ok()).collect()
}

pub(super) fn pinned(node: &NodeId) -> String {
    format!("{PINNED}{node}")
}
