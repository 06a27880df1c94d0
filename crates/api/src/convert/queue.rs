//! Converts queues to the views that clients get.

use crate::convert::moment::rfc3339;
use crate::convert::process::millis;
use longhaul_domain::{Policy, QueueHold, SlotKey, Timestamp};
use longhaul_engine::ports::QueueState as Queue;
use longhaul_wire::api::{HoldView, QueueListing, QueueView};

/// Converts queues and their policy to a list for clients.
pub(crate) fn listing(queues: &[Queue], policy: &Policy, now: Timestamp) -> QueueListing {
    QueueListing {
        queues: queues.iter().map(|queue| view(queue, now)).collect(),
        slots: policy.slots.clone(),
        default_slots: policy.default_slots,
        at: rfc3339(now),
    }
}

/// Returns the empty queue of a concurrency key. No process runs or waits in this queue.
pub(crate) fn idle(key: &SlotKey, policy: &Policy) -> Queue {
    Queue {
        key: Some(key.clone()),
        slots: policy.slots_of(key),
        held: policy.held.get(key).cloned(),
        holders: Vec::new(),
        waiters: Vec::new(),
        oldest: None,
    }
}

/// Converts the hold of a queue: the time at which the hold started, and who requested it.
pub(super) fn hold(hold: &QueueHold) -> HoldView {
    HoldView { since: rfc3339(hold.since), by: hold.by.clone() }
}

fn view(queue: &Queue, now: Timestamp) -> QueueView {
    let ids = |ids: &[longhaul_domain::ProcessId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    QueueView {
        key: queue.key.as_ref().map(ToString::to_string),
        slots: queue.slots,
        held: queue.held.as_ref().map(hold),
        running: count(queue.holders.len()),
        waiting: count(queue.waiters.len()),
        oldest_at: queue.oldest.map(rfc3339),
        oldest_wait_ms: queue.oldest.map(|oldest| millis(now.since(oldest))),
        holders: ids(&queue.holders),
        waiters: ids(&queue.waiters),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
