//! Index that finds rows without a scan of all rows.

use super::label::IndexLabel;
use super::state::{LedgerRow, class, rank};
use longhaul_domain::admission::Rank;
use longhaul_domain::{Level, NodeId, Priority, ProcessId, Seq, SlotKey, SlotState, Spec, Status, Timestamp};
use longhaul_ports::{PlacementClass, ProcessFilter};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Rows in the order of their submission.
pub(crate) type InOrder = BTreeMap<Seq, ProcessId>;

/// Index that finds rows without a scan of all rows. It is derived from the rows alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowIndex {
    all: InOrder,
    labels: BTreeMap<IndexLabel, InOrder>,
    live: InOrder,
    /// Ended rows by status.
    ended_as: BTreeMap<Status, InOrder>,
    /// Number of live rows for each root and level.
    levels: BTreeMap<(ProcessId, Level), u32>,
    /// A queue for each key that has a waiting process or a slot holder.
    queues: BTreeMap<Option<SlotKey>, Queue>,
    owned: BTreeMap<NodeId, InOrder>,
    /// The root processes that hold a root slot of each node.
    roots: BTreeMap<NodeId, InOrder>,
    due: BTreeMap<(Timestamp, Seq), ProcessId>,
    ended: BTreeMap<(Timestamp, Seq), ProcessId>,
}

/// Waiting processes and slot holders of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    waiting: BTreeMap<PlacementQueue, BTreeMap<Rank, ProcessId>>,
    holding: InOrder,
}

/// Waiting processes of one key that have the same placement class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlacementQueue {
    pub(crate) class: PlacementClass,
    pub(crate) root: bool,
}

/// All values of a row that determine its entries in the index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IndexPosition {
    id: ProcessId,
    seq: Seq,
    spec: Arc<Spec>,
    root: Option<ProcessId>,
    level: Level,
    slot_state: SlotState,
    priority: Priority,
    owner: Option<NodeId>,
    due: Option<Timestamp>,
    /// Time at which the process ended, and its final status.
    ended: Option<(Timestamp, Status)>,
}

static EMPTY: InOrder = BTreeMap::new();

impl RowIndex {
    /// Returns the earliest due time of a row without an owner.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Returns the rows without an owner whose due time is not later than this time.
    pub(crate) fn due(&self, by: Timestamp) -> impl Iterator<Item = &ProcessId> {
        self.due.range(..=(by, Seq(u64::MAX))).map(|(_, id)| id)
    }

    /// Returns the ended rows with the time at which each process ended, oldest first.
    pub(crate) const fn ended(&self) -> &BTreeMap<(Timestamp, Seq), ProcessId> {
        &self.ended
    }

    pub(crate) fn live_on(&self, root: ProcessId, level: Level) -> u32 {
        self.levels.get(&(root, level)).copied().unwrap_or(0)
    }

    /// Returns true if the tree contains a live row on a deeper level.
    pub(crate) fn lives_below(&self, root: ProcessId, level: Level) -> bool {
        let deeper = (Bound::Excluded((root, level)), Bound::Included((root, Level(u8::MAX))));
        self.levels.range(deeper).next().is_some()
    }

    /// Returns all descendants of a process, live and ended.
    pub(crate) fn family_of(&self, id: &ProcessId) -> &InOrder {
        self.labels.get(&IndexLabel::Below(*id)).unwrap_or(&EMPTY)
    }

    /// Returns the keys that have a waiting process or a slot holder.
    pub(crate) const fn queues(&self) -> &BTreeMap<Option<SlotKey>, Queue> {
        &self.queues
    }

    /// Returns the slot holders of a key.
    pub(crate) fn holders(&self, key: &Option<SlotKey>) -> &InOrder {
        self.queues.get(key).map_or(&EMPTY, Queue::holders)
    }

    pub(crate) fn owned_by(&self, node: &NodeId) -> &InOrder {
        self.owned.get(node).unwrap_or(&EMPTY)
    }

    /// Returns the root processes that hold a root slot of a node.
    pub(crate) fn roots_of(&self, node: &NodeId) -> &InOrder {
        self.roots.get(node).unwrap_or(&EMPTY)
    }

    /// Returns the smallest set of rows in this index that contains every row that the filter selects.
    pub(crate) fn narrowest(&self, filter: &ProcessFilter) -> &InOrder {
        let labelled = IndexLabel::of_filter(filter).map(|label| self.labels.get(&label));
        let owned = filter.owner.iter().map(|node| self.owned.get(node));
        let found = labelled.chain(owned).map(|found| found.unwrap_or(&EMPTY));
        let statuses = &filter.statuses;
        let live_only = !statuses.is_empty() && statuses.iter().all(|status| !status.is_ended());
        let live = live_only.then_some(&self.live);
        found.chain(live).min_by_key(|found| found.len()).unwrap_or(&self.all)
    }

    /// Returns the rows that have one of these final statuses. Returns `None` if more than `limit` rows match, or if
    /// one of the statuses is not final.
    pub(crate) fn ended_as(&self, statuses: &[Status], limit: usize) -> Option<InOrder> {
        if statuses.is_empty() || statuses.iter().any(|status| !status.is_ended()) {
            return None;
        }
        let found: Vec<&InOrder> = statuses.iter().filter_map(|status| self.ended_as.get(status)).collect();
        let count: usize = found.iter().map(|found| found.len()).sum();
        (count <= limit).then(|| found.into_iter().flatten().map(|(seq, id)| (*seq, *id)).collect())
    }

    pub(super) fn insert(&mut self, row: &LedgerRow) {
        let (process, at) = (&row.stored.process, row.stored.seq);
        self.all.insert(at, process.id);
        for label in IndexLabel::of(process) {
            file(&mut self.labels, &label, at, process.id);
        }
        self.enter(&IndexPosition::of(row));
    }

    pub(super) fn remove(&mut self, row: &LedgerRow) {
        let (process, at) = (&row.stored.process, row.stored.seq);
        self.all.remove(&at);
        for label in IndexLabel::of(process) {
            unfile(&mut self.labels, &label, &at);
        }
        self.leave(&IndexPosition::of(row));
    }

    pub(super) fn update_position(&mut self, from: &IndexPosition, to: &IndexPosition) {
        if from != to {
            self.leave(from);
            self.enter(to);
        }
    }

    fn enter(&mut self, place: &IndexPosition) {
        let IndexPosition { id, seq, .. } = *place;
        if let Some(level) = place.level() {
            *self.levels.entry(level).or_default() += 1;
        }
        if place.is_live() {
            self.live.insert(seq, id);
        }
        match place.slot_state {
            SlotState::Waiting => {
                let queue = self.queues.entry(place.spec.key.clone()).or_default();
                file(&mut queue.waiting, &place.lane(), place.rank(), id);
            }
            SlotState::Holding => {
                let queue = self.queues.entry(place.spec.key.clone()).or_default();
                queue.holding.insert(seq, id);
            }
            SlotState::Idle | SlotState::Ended => {}
        }
        if let Some(node) = &place.owner {
            file(&mut self.owned, node, seq, id);
        }
        if let Some(node) = place.held_root_of() {
            file(&mut self.roots, node, seq, id);
        }
        if let Some(due) = place.due {
            self.due.insert((due, seq), id);
        }
        if let Some((at, status)) = place.ended {
            self.ended.insert((at, seq), id);
            file(&mut self.ended_as, &status, seq, id);
        }
    }

    /// Removes the index entries that [`enter`](Self::enter) added for a row.
    fn leave(&mut self, place: &IndexPosition) {
        let seq = place.seq;
        if let Some(level) = place.level()
            && let Some(live) = self.levels.get_mut(&level)
        {
            *live = live.saturating_sub(1);
            if *live == 0 {
                self.levels.remove(&level);
            }
        }
        if place.is_live() {
            self.live.remove(&seq);
        }
        if let Some(queue) = self.queues.get_mut(&place.spec.key) {
            match place.slot_state {
                SlotState::Waiting => unfile(&mut queue.waiting, &place.lane(), &place.rank()),
                SlotState::Holding => drop(queue.holding.remove(&seq)),
                SlotState::Idle | SlotState::Ended => {}
            }
            if queue.waiting.is_empty() && queue.holding.is_empty() {
                self.queues.remove(&place.spec.key);
            }
        }
        if let Some(node) = &place.owner {
            unfile(&mut self.owned, node, &seq);
        }
        if let Some(node) = place.held_root_of() {
            unfile(&mut self.roots, node, &seq);
        }
        if let Some(due) = place.due {
            self.due.remove(&(due, seq));
        }
        if let Some((at, status)) = place.ended {
            self.ended.remove(&(at, seq));
            unfile(&mut self.ended_as, &status, &seq);
        }
    }
}

impl Queue {
    /// Returns the processes that hold a slot of this key.
    pub(crate) const fn holders(&self) -> &InOrder {
        &self.holding
    }

    /// Returns the waiting process that is first in order of admission, among the placement queues that `may` accepts.
    pub(crate) fn first(&self, may: impl Fn(&PlacementQueue) -> bool) -> Option<(Rank, ProcessId)> {
        let lanes = self.waiting.iter().filter(|(lane, _)| may(lane));
        lanes.filter_map(|(_, lane)| lane.first_key_value()).map(|(rank, id)| (*rank, *id)).min()
    }

    /// Returns the placement classes of the waiting processes.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &PlacementClass> {
        self.waiting.keys().map(|lane| &lane.class)
    }

    /// Returns all waiting processes in order of admission.
    pub(crate) fn ranked(&self) -> Vec<ProcessId> {
        let mut ranked: Vec<(&Rank, &ProcessId)> = self.waiting.values().flatten().collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, id)| *id).collect()
    }
}

impl IndexPosition {
    pub(super) fn of(row: &LedgerRow) -> Self {
        let stored = &row.stored;
        let process = &stored.process;
        Self {
            id: process.id,
            seq: stored.seq,
            spec: Arc::clone(&process.spec),
            root: process.lineage.ancestors.first().copied(),
            level: process.lineage.level(),
            slot_state: stored.slot_state(),
            priority: rank(stored).priority,
            owner: stored.owner.as_ref().map(|lease| lease.node.clone()),
            due: row.due_again(),
            ended: process.completed_at().map(|at| (at, process.status())),
        }
    }

    fn is_live(&self) -> bool {
        self.slot_state != SlotState::Ended
    }

    /// Returns the level on which the row is counted. Roots are not counted.
    fn level(&self) -> Option<(ProcessId, Level)> {
        self.root.filter(|_| self.is_live()).map(|root| (root, self.level))
    }

    fn lane(&self) -> PlacementQueue {
        PlacementQueue { class: class(&self.spec), root: self.root.is_none() }
    }

    const fn rank(&self) -> Rank {
        Rank { priority: self.priority, seq: self.seq }
    }

    fn held_root_of(&self) -> Option<&NodeId> {
        let held = self.root.is_none() && self.slot_state == SlotState::Holding;
        self.owner.as_ref().filter(|_| held)
    }
}

fn file<K: Ord + Clone, P: Ord>(
    files: &mut BTreeMap<K, BTreeMap<P, ProcessId>>,
    under: &K,
    at: P,
    id: ProcessId,
) {
    if let Some(file) = files.get_mut(under) {
        file.insert(at, id);
    } else {
        files.insert(under.clone(), BTreeMap::from([(at, id)]));
    }
}

fn unfile<K: Ord, P: Ord>(files: &mut BTreeMap<K, BTreeMap<P, ProcessId>>, under: &K, at: &P) {
    if let Some(file) = files.get_mut(under) {
        file.remove(at);
        if file.is_empty() {
            files.remove(under);
        }
    }
}
