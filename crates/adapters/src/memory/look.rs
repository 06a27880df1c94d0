//! Lists, queues and the event log.

use super::ledger::{Ledger, standing};
use longhaul_domain::{SlotKey, Standing};
use longhaul_ports::{Cursor, EventPage, Filter, Listing, Order, PageAsk, PageKey, QueueView, Stored};
use std::collections::BTreeSet;

impl Ledger {
    pub(super) fn list(&self, filter: &Filter, page: &PageAsk) -> Listing {
        let admitted = |stored: &&Stored| filter.admits(stored) && is_after(page, stored);
        let most = usize::try_from(page.most.max(1)).unwrap_or(usize::MAX);
        let mut processes: Vec<Stored> = match page.order {
            Order::NewestFirst => {
                self.in_order().rev().filter(admitted).take(most.saturating_add(1)).cloned().collect()
            }
            Order::OldestFirst => {
                self.in_order().filter(admitted).take(most.saturating_add(1)).cloned().collect()
            }
        };
        let more = processes.len() > most;
        processes.truncate(most);
        Listing { next: processes.last().filter(|_| more).map(|stored| PageKey(stored.seq)), processes }
    }

    pub(super) fn queues(&self, only: Option<&SlotKey>) -> Vec<QueueView> {
        let keys: BTreeSet<Option<SlotKey>> = self
            .in_order()
            .filter(|stored| match standing(stored) {
                Standing::Waiting | Standing::Holding => true,
                Standing::Idle | Standing::Ended => false,
            })
            .map(|stored| stored.process.spec.key.clone())
            .filter(|key| only.is_none() || key.as_ref() == only)
            .collect();
        keys.into_iter().map(|key| self.queue(key)).collect()
    }

    fn queue(&self, key: Option<SlotKey>) -> QueueView {
        let waiters: Vec<&Stored> =
            self.waiters().into_iter().filter(|stored| stored.process.spec.key == key).collect();
        QueueView {
            slots: key.as_ref().and_then(|key| self.policy.1.slots_of(key)),
            held: key.as_ref().is_some_and(|key| self.policy.1.held.contains(key)),
            holders: self.holders(key.as_ref()).map(|stored| stored.process.id).collect(),
            oldest: waiters.iter().map(|stored| stored.process.queued_at).min(),
            waiters: waiters.iter().map(|stored| stored.process.id).collect(),
            key,
        }
    }

    pub(super) fn events(&self, after: Option<Cursor>, most: u32) -> EventPage {
        let first = self.log.front().map(|logged| logged.cursor);
        EventPage {
            gap: match (after, first) {
                (Some(after), Some(first)) => after.0.saturating_add(1) < first.0,
                (Some(_) | None, _) => false,
            },
            events: self
                .log
                .iter()
                .filter(|logged| after.is_none_or(|after| logged.cursor > after))
                .take(usize::try_from(most).unwrap_or(usize::MAX))
                .cloned()
                .collect(),
        }
    }

    /// The place after the newest event.
    pub(super) const fn end(&self) -> Cursor {
        self.last_cursor
    }
}

fn is_after(page: &PageAsk, stored: &Stored) -> bool {
    page.after.is_none_or(|PageKey(after)| match page.order {
        Order::NewestFirst => stored.seq < after,
        Order::OldestFirst => stored.seq > after,
    })
}
