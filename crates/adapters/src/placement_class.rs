//! Text form of placement classes, for use in an index.

use longhaul_domain::{Capability, NodeId, Placement};
use longhaul_ports::PlacementClass;

/// Separator between names. It cannot be part of a name, because names contain no control characters.
const SEPARATOR: &str = "\u{1f}";

/// Prefix of the class of processes that are pinned to a node.
pub(crate) const PINNED: &str = "node:";
/// Prefix of the class of processes that are placed by labels.
const LABELLED: &str = "labels:";

pub(crate) fn of_placement(placement: &Placement) -> String {
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

pub(crate) fn of_class(class: &PlacementClass) -> String {
    match class {
        PlacementClass::Node(node) => pinned(node),
        PlacementClass::Shared(placement) => of_placement(placement),
    }
}

/// Returns the labels of the class if it is placed by labels. Returns `None` for any other class.
pub(crate) fn labels(class: &str) -> Option<Vec<Capability>> {
    let words = class.strip_prefix(LABELLED)?.split(SEPARATOR).filter(|word| !word.is_empty());
    words.map(|word| Capability::new(word).ok()).collect()
}

pub(crate) fn pinned(node: &NodeId) -> String {
    format!("{PINNED}{node}")
}

/// Returns the name of the node if the class is pinned to a node. Returns `None` for any other class.
#[cfg(feature = "rows")]
pub(crate) fn node(class: &str) -> Option<&str> {
    class.strip_prefix(PINNED)
}
