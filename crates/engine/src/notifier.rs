//! Notifies tasks that are waiting for changes of processes.

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
    /// Subscribes to changes of some processes. Callers must subscribe before they read a record, so that no change is
    /// missed.
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

    /// Wakes the subscribers of a process that has changed.
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
    /// Waits for a change that happened after the previous call or, in the first call, after the subscription.
    pub(crate) async fn changed(&self) {
        self.next().await;
    }

    /// Waits like [`changed`](Self::changed), and returns the processes that have changed.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Returns the changes that a subscription delivers without waiting.
    fn now(subscription: &HubSubscription<'_>) -> Poll<BTreeSet<ProcessId>> {
        pin!(subscription.next()).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn change_wakes_only_the_subscribers_of_its_process_and_a_gap_wakes_all() {
        let ids = [1, 2].map(|number| waiting(number, command()).process.id);
        let notifier = Notifier::default();
        let (first, both) = (notifier.subscribe(&ids[..1]), notifier.subscribe(&ids));
        assert!(now(&first).is_pending());
        notifier.changed(ids[1]);
        assert!(now(&first).is_pending());
        assert_eq!(now(&both), Poll::Ready(BTreeSet::from([ids[1]])));
        assert!(now(&both).is_pending(), "each change is delivered once");
        notifier.all_changed();
        assert_eq!(now(&first), Poll::Ready(BTreeSet::from([ids[0]])));
        assert_eq!(now(&both), Poll::Ready(BTreeSet::from(ids)));
    }

    #[test]
    fn subscription_that_ends_leaves_the_others_and_nothing_of_its_own() {
        let id = waiting(1, command()).process.id;
        let notifier = Notifier::default();
        let (kept, ended) = (notifier.subscribe(&[id]), notifier.subscribe(&[id]));
        drop(ended);
        notifier.changed(id);
        assert!(now(&kept).is_ready());
        drop(kept);
        assert!(notifier.waiting.lock().unwrap().is_empty());
    }
}
