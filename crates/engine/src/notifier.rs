//! Notifies tasks that wait for changes of processes.

use longhaul_domain::ProcessId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The subscriptions of each process. A change wakes only the subscribers of that process.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    waiting: Mutex<HashMap<ProcessId, Vec<Arc<PendingNotification>>>>,
}

/// The changes that one subscriber has not received yet.
#[derive(Debug, Default)]
struct PendingNotification {
    changed: Mutex<BTreeSet<ProcessId>>,
    ringing: Notify,
}

impl PendingNotification {
    fn ring(&self, id: ProcessId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.ringing.notify_one();
    }
}

impl Notifier {
    /// Subscribes to changes of some processes. Subscribe before reading a record, so that no change is missed.
    pub(crate) fn subscribe(&self, ids: &[ProcessId]) -> HubSubscription<'_> {
        let waiter = Arc::new(PendingNotification::default());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            waiting.entry(*id).or_default().push(waiter.clone());
        }
        HubSubscription { notifier: self, ids: ids.to_vec(), waiter }
    }

    /// Wakes all subscribers, because it is unknown which processes have changed.
    pub(crate) fn all_changed(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, waiters) in waiting.iter() {
            waiters.iter().for_each(|waiter| waiter.ring(*id));
        }
    }

    /// Wakes the subscribers of a process.
    pub(crate) fn changed(&self, id: ProcessId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for waiter in waiting.get(&id).into_iter().flatten() {
            waiter.ring(id);
        }
    }
}

/// A subscription to changes. Dropping it ends the subscription.
#[derive(Debug)]
pub(crate) struct HubSubscription<'a> {
    notifier: &'a Notifier,
    ids: Vec<ProcessId>,
    waiter: Arc<PendingNotification>,
}

impl HubSubscription<'_> {
    /// Waits for the next change after the last call, or after the subscription.
    pub(crate) async fn changed(&self) {
        self.next().await;
    }

    /// Like [`changed`](Self::changed), and returns the processes that have changed.
    pub(crate) async fn next(&self) -> BTreeSet<ProcessId> {
        loop {
            self.waiter.ringing.notified().await;
            let mut changed = self.waiter.changed.lock().unwrap_or_else(PoisonError::into_inner);
            if !changed.is_empty() {
                return std::mem::take(&mut *changed);
            }
        }
    }
}

impl Drop for HubSubscription<'_> {
    fn drop(&mut self) {
        let mut waiting = self.notifier.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.ids {
            if let Some(waiters) = waiting.get_mut(id) {
                waiters.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
                if waiters.is_empty() {
                    waiting.remove(id);
                }
            }
        }
    }
}
