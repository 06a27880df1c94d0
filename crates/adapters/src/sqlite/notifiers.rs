//! Notifies nodes of new work: one notifier for each registered node.

use longhaul_domain::{Epoch, NodeId};
use longhaul_ports::Lease;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Notification that a committed step causes on the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeEvent {
    /// There is an update that may concern every node.
    ForAll,
    /// There is an update for this node.
    For(NodeId),
    /// A node has registered with a new lease. Writes with its older lease are rejected.
    Registered {
        lease: Lease,
        /// True if there is already work for the node.
        busy: bool,
    },
    /// New events were logged.
    Logged,
}

/// Notifiers of all registered nodes.
#[derive(Debug, Default)]
pub(super) struct NodeNotifiers {
    notifiers: Mutex<BTreeMap<NodeId, Arc<NodeNotifier>>>,
}

/// Stores a notification until it is received.
#[derive(Debug)]
pub(super) struct NodeNotifier {
    epoch: Epoch,
    pending: AtomicBool,
    notify: Notify,
}

impl NodeNotifiers {
    /// Notifies the nodes that the event concerns.
    pub(super) fn notify(&self, event: &NodeEvent) {
        match event {
            NodeEvent::ForAll => self.lock().values().for_each(|notifier| notifier.notify()),
            NodeEvent::For(node) => {
                if let Some(notifier) = self.lock().get(node) {
                    notifier.notify();
                }
            }
            NodeEvent::Registered { lease, busy } => {
                let notifier = Arc::new(NodeNotifier::new(lease.epoch, *busy));
                if let Some(old) = self.lock().insert(lease.node.clone(), notifier) {
                    old.notify();
                }
            }
            NodeEvent::Logged => {}
        }
    }

    /// Returns the notifier of a lease. Creates it if the node registered before the store was opened.
    pub(super) fn of(&self, lease: &Lease) -> Arc<NodeNotifier> {
        let mut notifiers = self.lock();
        match notifiers.get(&lease.node) {
            Some(notifier) if notifier.epoch >= lease.epoch => Arc::clone(notifier),
            Some(_) | None => {
                let notifier = Arc::new(NodeNotifier::new(lease.epoch, false));
                notifiers.insert(lease.node.clone(), Arc::clone(&notifier));
                notifier
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<NodeNotifier>>> {
        self.notifiers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeNotifier {
    fn new(epoch: Epoch, pending: bool) -> Self {
        Self { epoch, pending: AtomicBool::new(pending), notify: Notify::new() }
    }

    fn notify(&self) {
        self.pending.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Waits for the next notification.
    pub(super) async fn notified(&self) -> NotificationGuard<'_> {
        loop {
            let mut notified = std::pin::pin!(self.notify.notified());
            notified.as_mut().enable();
            if self.pending.swap(false, Ordering::SeqCst) {
                return NotificationGuard { notifier: Some(self) };
            }
            notified.await;
        }
    }
}

/// A received notification. If it is dropped without a confirmation, it is delivered again, so that a cancelled wait
/// loses no notification.
#[derive(Debug)]
pub(super) struct NotificationGuard<'a> {
    notifier: Option<&'a NodeNotifier>,
}

impl NotificationGuard<'_> {
    pub(super) fn confirm(mut self) {
        self.notifier = None;
    }
}

impl Drop for NotificationGuard<'_> {
    fn drop(&mut self) {
        if let Some(notifier) = self.notifier {
            notifier.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_that_was_heard_and_not_answered_rings_again() {
        let notifier = NodeNotifier::new(Epoch(1), true);
        drop(notifier.notified().await);
        notifier.notified().await.confirm();
        let silent = tokio::time::timeout(std::time::Duration::from_millis(20), notifier.notified()).await;
        assert!(silent.is_err());
    }

    #[tokio::test]
    async fn a_notification_for_an_old_lease_wakes_the_old_lease_and_not_the_new_lease() {
        let notifiers = NodeNotifiers::default();
        let lease = |epoch| Lease { node: NodeId::new("n").unwrap(), epoch: Epoch(epoch) };
        let old = notifiers.of(&lease(1));
        notifiers.notify(&NodeEvent::Registered { lease: lease(2), busy: false });
        old.notified().await.confirm();
        assert!(!notifiers.of(&lease(2)).pending.load(Ordering::SeqCst));
        notifiers.notify(&NodeEvent::For(NodeId::new("n").unwrap()));
        notifiers.of(&lease(2)).notified().await.confirm();
    }
}
