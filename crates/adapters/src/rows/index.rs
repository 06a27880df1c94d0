//! The keys under which a row is found, and the counts to which it contributes. Both follow from the row alone.
//!
//! | index | next parts of the key | rows |
//! | --- | --- | --- |
//! | `all` | sequence number | all |
//! | `id` | id, sequence number | all |
//! | `label` | name of the label, its value, sequence number | rows with this label |
//! | `live` | sequence number | rows that have not ended |
//! | `live-below` | ancestor, sequence number | live descendants of a process |
//! | `waiting` | concurrency key, placement class, `root` or `child`, rank | rows that wait for a slot |
//! | `queued` | concurrency key, time of the submission, sequence number | rows that wait for a slot |
//! | `holding` | concurrency key, sequence number | rows that hold a slot |
//! | `owner` | node, sequence number | rows that the node owns |
//! | `acting` | node, sequence number | rows that the node owns and that have pending actions |
//! | `roots` | node, sequence number | roots that hold a root slot of the node |
//! | `due` | due time, sequence number | rows without an owner that are due, now or later, and not reserved |
//! | `reserved` | end of the reservation, sequence number | due rows that are reserved for an engine |
//! | `ended` | time of the end, sequence number | ended rows |
//! | `ended-as` | final status, sequence number | ended rows |

use super::key::{KeyRange, RowKey};
use super::process_row::{ProcessRow, class_of};
use crate::placement_class;
use longhaul_domain::{Level, NodeId, Process, ProcessId, SlotKey, SlotState, Timestamp};
use longhaul_ports::{PlacementClass, ProcessFilter};

/// Waiting processes of one concurrency key that have the same claim conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) key: Option<String>,
    /// Text form of the placement class.
    pub(crate) class: String,
    pub(crate) root: bool,
}

impl Lane {
    pub(crate) fn of(row: &ProcessRow) -> Self {
        let process = &row.stored.process;
        Self {
            key: process.spec.key.as_ref().map(ToString::to_string),
            class: placement_class::of_class(&class_of(&process.spec)),
            root: process.lineage.ancestors.is_empty(),
        }
    }

    /// Reads the lane from the key of its count.
    pub(crate) fn stored(key: &RowKey) -> Self {
        Self {
            key: Some(key.part(1)).filter(|key| !key.is_empty()),
            class: key.part(2),
            root: key.part(3) == ROOT,
        }
    }

    fn under(&self, kind: &str) -> RowKey {
        let kind = RowKey::of(kind).optional(self.key.as_deref()).name(&self.class);
        kind.name(if self.root { ROOT } else { "child" })
    }

    /// Returns the range of the waiting processes in this lane, in the order of admission.
    pub(crate) fn waiting(&self) -> KeyRange {
        self.under(WAITING).below()
    }
}

const ROOT: &str = "root";
const WAITING: &str = "waiting";
const LANE: &str = "lane";

/// Returns the index keys of a row that never change.
pub(crate) fn fixed(row: &ProcessRow) -> Vec<RowKey> {
    let (process, seq) = (&row.stored.process, row.stored.seq);
    let (spec, lineage) = (&process.spec, &process.lineage);
    let text = |name: &'static str, value: Option<&str>| value.map(|value| label(name, value).seq(seq));
    let level = lineage.level();
    let labels = [
        text("session", spec.session.as_ref().map(|name| name.as_str())),
        text("project", spec.project.as_ref().map(|name| name.as_str())),
        text("name", spec.name.as_ref().map(|name| name.as_str())),
        text("key", spec.key.as_ref().map(|name| name.as_str())),
        text("agent", spec.agent.agent_id.as_ref().map(|name| name.as_str())),
        Some(label("type", &spec.kind.to_string()).seq(seq)),
        // Roots have no level label, because most processes are roots.
        (level > Level(0)).then(|| level_label(level).seq(seq)),
        Some(RowKey::of("all").seq(seq)),
        Some(RowKey::of("id").id(&process.id).seq(seq)),
    ];
    let below = lineage.ancestors.iter().map(|ancestor| below_label(ancestor).seq(seq));
    labels.into_iter().flatten().chain(below).collect()
}

/// Returns the index keys of a row that depend on its state.
pub(crate) fn changing(row: &ProcessRow) -> Vec<RowKey> {
    let (stored, process, seq) = (&row.stored, &row.stored.process, row.stored.seq);
    let key = || process.spec.key.as_ref().map(SlotKey::as_str);
    let mut keys = Vec::with_capacity(8);
    match row.slot_state() {
        SlotState::Waiting => {
            keys.push(Lane::of(row).under(WAITING).rank(row.rank()));
            keys.push(RowKey::of("queued").optional(key()).time(process.queued_at).seq(seq));
        }
        SlotState::Holding => keys.push(RowKey::of("holding").optional(key()).seq(seq)),
        SlotState::Idle => {}
        SlotState::Ended => {
            let status = process.status();
            keys.extend(process.completed_at().map(|at| RowKey::of("ended").time(at).seq(seq)));
            keys.push(RowKey::of("ended-as").name(status.as_str()).seq(seq));
        }
    }
    if is_live(row) {
        keys.push(RowKey::of("live").seq(seq));
        let ancestors = process.lineage.ancestors.iter();
        keys.extend(ancestors.map(|ancestor| RowKey::of("live-below").id(ancestor).seq(seq)));
    }
    if let Some(owner) = &stored.owner {
        let of_node = |kind| RowKey::of(kind).name(owner.node.as_str()).seq(seq);
        keys.push(of_node("owner"));
        if !stored.pending_actions.is_empty() {
            keys.push(of_node("acting"));
        }
        if held_root_of(row).is_some() {
            keys.push(of_node("roots"));
        }
    }
    keys.extend(row.due().map(|due| match row.claimed_until.filter(|until| *until > due) {
        Some(until) => RowKey::of("reserved").time(until).seq(seq),
        None => RowKey::of("due").time(due).seq(seq),
    }));
    keys
}

/// Returns the keys of the counts that a row increases by one.
pub(crate) fn counts(row: &ProcessRow) -> Vec<RowKey> {
    let process = &row.stored.process;
    let mut keys = Vec::with_capacity(3);
    match row.slot_state() {
        SlotState::Waiting => keys.push(Lane::of(row).under(LANE)),
        SlotState::Holding => keys.push(taken(process.spec.key.as_ref())),
        SlotState::Idle => {}
        SlotState::Ended => keys.push(ended_count()),
    }
    keys.extend(held_root_of(row).map(roots_taken));
    if let Some(root) = process.lineage.ancestors.first().filter(|_| is_live(row)) {
        keys.push(live_on(root, process.lineage.level()));
    }
    keys
}

fn is_live(row: &ProcessRow) -> bool {
    row.slot_state() != SlotState::Ended
}

fn held_root_of(row: &ProcessRow) -> Option<&NodeId> {
    let held = row.stored.process.lineage.ancestors.is_empty() && row.slot_state() == SlotState::Holding;
    row.stored.owner.as_ref().map(|lease| &lease.node).filter(|_| held)
}

fn label(name: &str, value: &str) -> RowKey {
    RowKey::of("label").name(name).name(value)
}

fn level_label(level: Level) -> RowKey {
    RowKey::of("label").name("level").number(level.0.into())
}

fn below_label(ancestor: &ProcessId) -> RowKey {
    RowKey::of("label").name("below").id(ancestor)
}

/// Returns the key of the number of processes that hold a slot of a concurrency key.
pub(crate) fn taken(key: Option<&SlotKey>) -> RowKey {
    RowKey::of("taken").optional(key.map(SlotKey::as_str))
}

/// Returns the range of the numbers of slot holders of all concurrency keys.
pub(crate) fn all_taken() -> KeyRange {
    RowKey::of("taken").below()
}

/// Returns the key of the number of roots that hold a root slot of a node.
pub(crate) fn roots_taken(node: &NodeId) -> RowKey {
    RowKey::of("roots-taken").name(node.as_str())
}

/// Returns the key of the number of live processes on one level of a tree.
pub(crate) fn live_on(root: &ProcessId, level: Level) -> RowKey {
    RowKey::of("live-on").id(root).number(level.0.into())
}

/// Returns the key of the number of ended processes.
pub(crate) fn ended_count() -> RowKey {
    RowKey::of("ended-count")
}

/// Returns the range of the sizes of all lanes.
pub(crate) fn all_lanes() -> KeyRange {
    RowKey::of(LANE).below()
}

/// Returns the range of the sizes of the lanes of one concurrency key.
pub(crate) fn lanes_of(key: Option<&SlotKey>) -> KeyRange {
    RowKey::of(LANE).optional(key.map(SlotKey::as_str)).below()
}

pub(crate) fn waiting_of(key: Option<&SlotKey>) -> KeyRange {
    RowKey::of(WAITING).optional(key.map(SlotKey::as_str)).below()
}

pub(crate) fn queued_of(key: Option<&SlotKey>) -> KeyRange {
    RowKey::of("queued").optional(key.map(SlotKey::as_str)).below()
}

pub(crate) fn holders_of(key: Option<&SlotKey>) -> KeyRange {
    RowKey::of("holding").optional(key.map(SlotKey::as_str)).below()
}

pub(crate) fn owned_by(node: &NodeId) -> KeyRange {
    RowKey::of("owner").name(node.as_str()).below()
}

pub(crate) fn acting_for(node: &NodeId) -> KeyRange {
    RowKey::of("acting").name(node.as_str()).below()
}

pub(crate) fn roots_of(node: &NodeId) -> KeyRange {
    RowKey::of("roots").name(node.as_str()).below()
}

pub(crate) fn live_below(ancestor: &ProcessId) -> KeyRange {
    RowKey::of("live-below").id(ancestor).below()
}

/// Returns the ranges of all rows that are due, now or later: first those that are not reserved, then those that are.
/// The keys end with the time at which the row may be handed out, and the sequence number.
pub(crate) fn due() -> [KeyRange; 2] {
    ["due", "reserved"].map(|kind| RowKey::of(kind).below())
}

/// Returns the ranges of the rows that may be handed out at this time, in the same order.
pub(crate) fn due_by(now: Timestamp) -> [KeyRange; 2] {
    let after = Timestamp(now.0.saturating_add(1));
    ["due", "reserved"].map(|kind| {
        let kind = RowKey::of(kind);
        KeyRange { from: kind.below().from, to: kind.time(after) }
    })
}

/// Returns the range of all ended rows, in the order of their ends.
pub(crate) fn ended() -> KeyRange {
    RowKey::of("ended").below()
}

/// Returns the range of all rows, in the order of their submission.
pub(crate) fn all() -> KeyRange {
    RowKey::of("all").below()
}

/// Returns ranges of rows in the order of their submission. Each of them contains every row that the filter selects.
pub(crate) fn of_filter(filter: &ProcessFilter) -> Vec<KeyRange> {
    let text = |name: &'static str, value: Option<&str>| value.map(|value| label(name, value).below());
    let statuses = &filter.statuses;
    let live_only = !statuses.is_empty() && statuses.iter().all(|status| !status.is_ended());
    let ranges = [
        text("session", filter.session.as_ref().map(|name| name.as_str())),
        text("project", filter.project.as_ref().map(|name| name.as_str())),
        text("name", filter.name.as_ref().map(|name| name.as_str())),
        text("key", filter.key.as_ref().map(|name| name.as_str())),
        text("agent", filter.agent.as_ref().map(|name| name.as_str())),
        filter.kind.as_ref().map(|kind| label("type", &kind.to_string()).below()),
        filter.level.filter(|level| *level > Level(0)).map(|level| level_label(level).below()),
        filter.parent.map(|parent| below_label(&parent).below()),
        filter.ancestor.map(|ancestor| below_label(&ancestor).below()),
        filter.owner.as_ref().map(owned_by),
        live_only.then(|| RowKey::of("live").below()),
    ];
    ranges.into_iter().flatten().collect()
}

/// Returns ranges that together contain every row that the filter selects, but not in the order of submission. Returns
/// an empty list if there are no such ranges.
pub(crate) fn unordered(filter: &ProcessFilter) -> Vec<KeyRange> {
    if let Some(begin) = &filter.id_prefix {
        let from = RowKey::of("id").name(begin);
        // All characters of ids, and the separator, come before the character `~`.
        let to = RowKey::stored(format!("{from}~"));
        return vec![KeyRange { from, to }];
    }
    let statuses = &filter.statuses;
    if statuses.is_empty() || statuses.iter().any(|status| !status.is_ended()) {
        return Vec::new();
    }
    let mut names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| RowKey::of("ended-as").name(name).below()).collect()
}

/// Returns true if a process with this placement class may be claimed by the node, as far as the store can decide this.
pub(crate) fn may_run(node: &NodeId, class: &PlacementClass) -> bool {
    match class {
        PlacementClass::Node(named) => named == node,
        PlacementClass::Shared(_) => true,
    }
}

/// Returns true if a lane may contain processes for the node, as far as the store can decide this.
pub(crate) fn may_run_lane(node: &NodeId, lane: &Lane) -> bool {
    placement_class::node(&lane.class).is_none_or(|named| named == node.as_str())
}

/// Returns all index keys of a process with this record.
pub(crate) fn all_of(row: &ProcessRow) -> Vec<RowKey> {
    let mut keys = fixed(row);
    keys.extend(changing(row));
    keys
}

/// Returns the key of the launch key of a process, or `None` if the process has no launch key.
pub(crate) fn launch_key(process: &Process) -> Option<RowKey> {
    let key = process.spec.launch_key.as_ref()?;
    let session = process.spec.session.as_ref().map(|session| session.as_str());
    Some(RowKey::of("launch").optional(session).name(key.as_str()))
}
