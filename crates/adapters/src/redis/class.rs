//! Placement classes as scripts know them.
//!
//! A script has to tell a waiter that is pinned to a node from one that is not: `pinned_to` in `lua/news.lua` does. The
//! class of a process whose record needs a newer reader than the first one begins with that reader. A node claims the
//! classes of the readers that it is, so that no node is given a process that it cannot read.

use longhaul_domain::Placement;
use longhaul_ports::PlacementClass;
use longhaul_wire::record;

/// Names cannot hold control characters, so a separator is safe.
const SEPARATOR: char = '\u{1f}';
/// The classes of labels begin with it.
const LABELS: &str = "=labels:";

/// The classes of newer readers begin with it, the number of the reader and a colon.
const READER: &str = "=reader";

/// `@` and the node if it is pinned to one, otherwise a text that begins with `=`; behind the reader that it needs.
pub(super) fn text(class: &PlacementClass, min_reader: u32) -> String {
    let place = match class {
        PlacementClass::Node(node) | PlacementClass::Shared(Placement::Node(node)) => format!("@{node}"),
        PlacementClass::Shared(Placement::Here) => "=here".to_owned(),
        PlacementClass::Shared(Placement::Labels(labels)) => {
            let words: Vec<&str> = labels.iter().map(|label| label.as_str()).collect();
            format!("{LABELS}{}", words.join("\u{1f}"))
        }
        PlacementClass::Shared(Placement::Anywhere) => "=anywhere".to_owned(),
    };
    if min_reader > record::BASE_FORMAT { format!("{READER}{min_reader}:{place}") } else { place }
}

/// The class of a lane, which is a class and whether its waiters are roots; none if it is not one of labels.
pub(super) fn of_labels(lane: &str) -> Option<PlacementClass> {
    let (class, _) = lane.rsplit_once(SEPARATOR)?;
    let place = class.strip_prefix(READER).and_then(|rest| rest.split_once(':'));
    let class = place.map_or(class, |(_, place)| place);
    let words = class.strip_prefix(LABELS)?.split(SEPARATOR).filter(|word| !word.is_empty());
    let labels: Result<Vec<_>, _> = words.map(str::parse).collect();
    Some(PlacementClass::Shared(Placement::Labels(labels.ok()?)))
}
