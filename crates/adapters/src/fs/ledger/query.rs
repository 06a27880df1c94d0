//! Queries of the in-memory store: listings, queues and the event log.

use super::index::{InOrder, Queue};
use super::state::LedgerState;
use crate::prefix;
use longhaul_domain::{ProcessId, Seq, SlotKey};
use longhaul_ports::{
    EventCursor, EventPage, Listing, PageKey, PageRequest, ProcessFilter, QueueState, SortOrder,
    StoredProcess,
};
use std::ops::Bound;
use uuid::Uuid;

/// A set of rows is worth sorting if it is smaller than the set to be scanned by at least this factor.
const SORT_RATIO: usize = 16;
/// Maximum number of records on a page.
const MAX_PAGE: u32 = 1_000;

impl LedgerState {
    pub(crate) fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Listing {
        let limit = usize::try_from(page.limit.clamp(1, MAX_PAGE)).unwrap_or(usize::MAX);
        let narrowest = self.rows.index().narrowest(filter);
        let few = self.few(filter, narrowest.len() / SORT_RATIO);
        let rest = few.as_ref().unwrap_or(narrowest).range(remaining(page)).map(|(_, id)| id);
        let mut processes = match page.order {
            SortOrder::NewestFirst => self.admitted(filter, rest.rev(), limit.saturating_add(1)),
            SortOrder::OldestFirst => self.admitted(filter, rest, limit.saturating_add(1)),
        };
        let more = processes.len() > limit;
        processes.truncate(limit);
        Listing {
            next: processes.last().filter(|_| more).map(|stored| PageKey(stored.seq)),
            processes,
            damaged: Vec::new(),
        }
    }

    /// Returns a sorted set of at most `limit` rows that contains every row that the filter selects. Returns `None` if
    /// no such set has at most `limit` rows.
    fn few(&self, filter: &ProcessFilter, limit: usize) -> Option<InOrder> {
        if let Some(begin) = &filter.id_prefix {
            // No id can start with this prefix.
            let Some((low, high)) = prefix::range(begin) else { return Some(InOrder::new()) };
            let [low, high] = [low, high].map(|id| ProcessId::new(Uuid::from_bytes(id)));
            let rows = self.rows.between(low, high).take(limit.saturating_add(1));
            let found: InOrder = rows.map(|row| (row.stored.seq, row.stored.process.id)).collect();
            return Some(found).filter(|found| found.len() <= limit);
        }
        self.rows.index().ended_as(&filter.statuses, limit)
    }

    fn admitted<'a>(
        &self,
        filter: &ProcessFilter,
        among: impl Iterator<Item = &'a ProcessId>,
        limit: usize,
    ) -> Vec<StoredProcess> {
        let among = among.filter_map(|id| self.stored(id));
        among.filter(|stored| filter.admits(stored)).take(limit).cloned().collect()
    }

    pub(crate) fn queues(&self, only: Option<&SlotKey>) -> Vec<QueueState> {
        let queues = self.rows.index().queues().iter();
        let asked = queues.filter(|(key, _)| only.is_none() || key.as_ref() == only);
        asked.map(|(key, queue)| self.queue(key, queue)).collect()
    }

    fn queue(&self, key: &Option<SlotKey>, queue: &Queue) -> QueueState {
        let waiters = queue.ranked();
        let since = waiters.iter().filter_map(|id| self.stored(id)).map(|stored| stored.process.queued_at);
        QueueState {
            slots: key.as_ref().and_then(|key| self.policy.1.slots_of(key)),
            held: key.as_ref().and_then(|key| self.policy.1.held.get(key)).cloned(),
            holders: queue.holders().values().copied().collect(),
            oldest: since.min(),
            waiters,
            key: key.clone(),
        }
    }

    pub(crate) fn events(&self, after: Option<EventCursor>, limit: u32) -> EventPage {
        let first = self.log.front().map(|logged| logged.cursor);
        EventPage {
            gap: match (after, first) {
                (Some(after), Some(first)) => after.0.saturating_add(1) < first.0,
                (Some(_) | None, _) => false,
            },
            events: self
                .log
                .range(self.log.partition_point(|logged| Some(logged.cursor) <= after)..)
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .cloned()
                .collect(),
        }
    }

    /// Returns the cursor after the newest event.
    pub(crate) const fn end(&self) -> EventCursor {
        self.last_cursor
    }
}

/// Returns the range of sequence numbers that this page and the later pages list.
fn remaining(page: &PageRequest) -> (Bound<Seq>, Bound<Seq>) {
    let after = page.after.map_or(Bound::Unbounded, |PageKey(after)| Bound::Excluded(after));
    match page.order {
        SortOrder::NewestFirst => (Bound::Unbounded, after),
        SortOrder::OldestFirst => (after, Bound::Unbounded),
    }
}
