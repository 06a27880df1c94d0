//! Chooses the next process to claim. [`longhaul_domain::admission`] contains the rule.

use super::index::{self, Lane};
use super::key::{KeyRange, RowKey};
use super::process_row::ProcessRow;
use super::transaction::{StoreTransaction, count};
use super::values;
use crate::placement_class;
use longhaul_domain::admission::{self, Rank, ReadyKey};
use longhaul_domain::{Event, Fact, ProcessId, SlotKey, SlotState};
use longhaul_ports::{ClaimCapacity, Lease, SortOrder, StoreError, StoredProcess};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A concurrency key with processes that the node may run.
#[derive(Debug, Default)]
struct ReadyQueue {
    slots: Option<u32>,
    taken: u32,
    served: u64,
    held: bool,
    lanes: Vec<ReadyLane>,
}

#[derive(Debug)]
struct ReadyLane {
    lane: Lane,
    first: Option<LaneHead>,
}

/// First waiting process of a lane.
#[derive(Clone, Debug)]
struct LaneHead {
    rank: Rank,
    entry: RowKey,
    id: ProcessId,
}

impl ReadyQueue {
    /// Returns the first waiting process, and the position of its lane.
    fn first(&self, roots_full: bool) -> Option<(usize, &LaneHead)> {
        let open = self.lanes.iter().enumerate().filter(|(_, ready)| !(roots_full && ready.lane.root));
        open.filter_map(|(at, ready)| Some((at, ready.first.as_ref()?))).min_by_key(|(_, head)| head.rank)
    }
}

impl StoreTransaction<'_> {
    pub(crate) async fn claim(
        &mut self,
        by: &Lease,
        room: &ClaimCapacity,
    ) -> Result<Vec<StoredProcess>, StoreError> {
        let node = self.check_living(by).await?;
        let mut claimed = Vec::new();
        if node.draining {
            return Ok(claimed);
        }
        let mut roots = room.roots.saturating_sub(self.number(index::roots_taken(&by.node)).await?);
        let mut queues = self.ready_queues(room).await?;
        while count(claimed.len()) < room.batch {
            let next = admission::next(queues.iter().filter_map(|(key, queue)| {
                let (at, head) = queue.first(roots == 0)?;
                let ready = ReadyKey {
                    first: head.rank,
                    served: queue.served,
                    slots: queue.slots,
                    taken: queue.taken,
                    held: queue.held,
                };
                Some(((key.clone(), at, head.clone()), ready))
            }));
            let Some((key, at, head)) = next else { break };
            match self.claimable(&head).await? {
                Some(row) => {
                    let stored = self.hand_over(by, &row).await?;
                    if stored.owner.is_some() && stored.process.lineage.ancestors.is_empty() {
                        roots = roots.saturating_sub(1);
                    }
                    claimed.push(stored);
                    if let Some(queue) = queues.get_mut(&key) {
                        queue.taken = queue.taken.saturating_add(1);
                        queue.served = self.counters.claims;
                    }
                }
                // A record that cannot be read leaves its queue.
                None => self.unlist(head.entry),
            }
            if let Some(ready) = queues.get_mut(&key).and_then(|queue| queue.lanes.get_mut(at)) {
                let found = self.scan(&[ready.lane.waiting()], SortOrder::OldestFirst, 1).await?;
                ready.first = found.into_iter().flatten().next().and_then(head_of);
            }
        }
        Ok(claimed)
    }

    /// Returns the open queues with the processes that the node may run.
    async fn ready_queues(
        &mut self,
        room: &ClaimCapacity,
    ) -> Result<BTreeMap<Option<String>, ReadyQueue>, StoreError> {
        let classes: BTreeSet<String> = room.classes.iter().map(placement_class::of_class).collect();
        let mut queues: BTreeMap<Option<String>, ReadyQueue> = BTreeMap::new();
        for (key, _) in self.scan_values(&index::all_lanes(), u32::MAX).await? {
            let lane = Lane::stored(&key);
            if classes.contains(&lane.class) {
                let queue = queues.entry(lane.key.clone()).or_default();
                queue.lanes.push(ReadyLane { lane, first: None });
            }
        }
        for (name, queue) in &mut queues {
            let key = name.as_deref().and_then(|name| SlotKey::new(name).ok());
            queue.slots = key.as_ref().and_then(|key| self.policy.1.slots_of(key));
            queue.held = key.as_ref().is_some_and(|key| self.policy.1.held.contains_key(key));
        }
        queues.retain(|_, queue| !queue.held);
        let keys: Vec<RowKey> = queues
            .keys()
            .flat_map(|name| {
                [RowKey::of("taken").optional(name.as_deref()), values::served_key(name.as_deref())]
            })
            .collect();
        let mut found = self.values(&keys).await?.into_iter();
        for queue in queues.values_mut() {
            let mut number = || values::number(found.next().flatten().as_deref());
            queue.taken = u32::try_from(number()?).unwrap_or(u32::MAX);
            queue.served = number()?;
        }
        queues.retain(|_, queue| queue.slots.is_none_or(|slots| queue.taken < slots));
        let ranges: Vec<KeyRange> =
            queues.values().flat_map(|queue| &queue.lanes).map(|ready| ready.lane.waiting()).collect();
        let mut heads = if ranges.is_empty() {
            Vec::new()
        } else {
            self.scan(&ranges, SortOrder::OldestFirst, 1).await?
        }
        .into_iter();
        for ready in queues.values_mut().flat_map(|queue| &mut queue.lanes) {
            ready.first = heads.next().into_iter().flatten().next().and_then(head_of);
        }
        Ok(queues)
    }

    /// Returns the row of a waiting process. Returns `None` if the row is damaged, so that it does not block later
    /// processes.
    async fn claimable(&mut self, head: &LaneHead) -> Result<Option<Arc<ProcessRow>>, StoreError> {
        match self.row(&head.id).await {
            Ok(row) => Ok(row.filter(|row| row.slot_state() == SlotState::Waiting)),
            Err(error) if error.is_damage() => {
                tracing::error!(id = %head.id, %error, "quarantined a damaged record of a waiting process");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Assigns a waiting process to a node.
    pub(crate) async fn hand_over(
        &mut self,
        to: &Lease,
        before: &ProcessRow,
    ) -> Result<StoredProcess, StoreError> {
        let attempt = before.stored.process.attempt.next();
        let events = [Event { at: self.now, fact: Fact::Claimed { attempt, node: to.node.clone() } }];
        let claim = |row: &mut ProcessRow| {
            (row.claimed_until, row.orphaned) = (None, None);
            row.stored.claim(&events, to);
        };
        let stored = self.change(before, claim).await?;
        self.counters.claims = self.counters.claims.saturating_add(1);
        let key = stored.process.spec.key.as_ref().map(SlotKey::as_str);
        self.set_value(values::served_key(key), Some(self.counters.claims.to_string()));
        self.append(stored.process.id, stored.revision, events);
        Ok(stored)
    }
}

fn head_of((entry, id): (RowKey, ProcessId)) -> Option<LaneHead> {
    Some(LaneHead { rank: entry.last_rank()?, entry, id })
}
