//! Placement classes in the notation of the scripts.
//!
//! A script must determine whether a waiting process is pinned to a node: `pinned_to` in `lua/updates.lua` does that.
//! If a record needs a newer format than the first one, its class starts with the number of that format. A node claims
//! only classes with formats that it can read, so it never receives a process that it cannot read.

use longhaul_domain::Placement;
use longhaul_ports::PlacementClass;
use longhaul_wire::record;

/// Separator between labels. Names cannot contain control characters.
const SEPARATOR: char = '\u{1f}';
/// Prefix of the classes that contain labels.
const LABELS: &str = "=labels:";

/// Prefix of the classes whose records need a newer format. The prefix is followed by the format number and a colon.
const READER: &str = "=reader";

/// Returns the text of a class: `@` and the node for a pinned process, or a text that starts with `=` for any other
/// process. If the records need a newer format, the text starts with that format.
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

/// Parses the class in the text of a lane. A lane is a class plus a flag for root processes. Returns `None` if the
/// class has no labels.
pub(super) fn of_labels(lane: &str) -> Option<PlacementClass> {
    let (class, _) = lane.rsplit_once(SEPARATOR)?;
    let place = class.strip_prefix(READER).and_then(|rest| rest.split_once(':'));
    let class = place.map_or(class, |(_, place)| place);
    let words = class.strip_prefix(LABELS)?.split(SEPARATOR).filter(|word| !word.is_empty());
    let labels: Result<Vec<_>, _> = words.map(str::parse).collect();
    Some(PlacementClass::Shared(Placement::Labels(labels.ok()?)))
}
