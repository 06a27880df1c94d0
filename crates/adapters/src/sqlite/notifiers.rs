//! Who has to be called: one bell for each node that registered.

use longhaul_domain::{Epoch, NodeId};
use longhaul_ports::Lease;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a committed step means for nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeEvent {
    /// Something that any node may want to know.
    ForAll,
    /// Something for this node.
    For(NodeId),
    /// A node has a new lease; its older one is fenced.
    Registered {
        lease: Lease,
        /// There is something for it already.
        busy: bool,
    },
    /// The log has grown.
    Logged,
}

/// The bells of all nodes.
#[derive(Debug, Default)]
pub(super) struct NodeNotifiers {
    bells: Mutex<BTreeMap<NodeId, Arc<NodeNotifier>>>,
}

/// Keeps that it was rung until someone asks.
#[derive(Debug)]
pub(super) struct NodeNotifier {
    epoch: Epoch,
    rung: AtomicBool,
    notify: Notify,
}

impl NodeNotifiers {
    /// Tells those whom it concerns.
    pub(super) fn tell(&self, news: &NodeEvent) {
        match news {
            NodeEvent::ForAll => self.lock().values().for_each(|notifier| notifier.ring()),
            NodeEvent::For(node) => {
                if let Some(notifier) = self.lock().get(node) {
                    notifier.ring();
                }
            }
            NodeEvent::Registered { lease, busy } => {
                let notifier = Arc::new(NodeNotifier::new(lease.epoch, *busy));
                if let Some(old) = self.lock().insert(lease.node.clone(), notifier) {
                    old.ring();
                }
            }
            NodeEvent::Logged => {}
        }
    }

    /// The bell of this lease; one that was registered before the store was opened gets its bell now.
    pub(super) fn of(&self, lease: &Lease) -> Arc<NodeNotifier> {
        let mut bells = self.lock();
        match bells.get(&lease.node) {
            Some(notifier) if notifier.epoch >= lease.epoch => Arc::clone(notifier),
            Some(_) | None => {
                let notifier = Arc::new(NodeNotifier::new(lease.epoch, false));
                bells.insert(lease.node.clone(), Arc::clone(&notifier));
                notifier
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<NodeNotifier>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeNotifier {
    fn new(epoch: Epoch, rung: bool) -> Self {
        Self { epoch, rung: AtomicBool::new(rung), notify: Notify::new() }
    }

    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Parks until it was rung since someone heard it last.
    pub(super) async fn rung(&self) -> NotificationGuard<'_> {
        loop {
            let mut notified = std::pin::pin!(self.notify.notified());
            notified.as_mut().enable();
            if self.rung.swap(false, Ordering::SeqCst) {
                return NotificationGuard { notifier: Some(self) };
            }
            notified.await;
        }
    }
}

/// Someone heard the bell; unless it is answered, it counts as not heard, so that whoever stops waiting loses nothing.
#[derive(Debug)]
pub(super) struct NotificationGuard<'a> {
    notifier: Option<&'a NodeNotifier>,
}

impl NotificationGuard<'_> {
    pub(super) fn answered(mut self) {
        self.notifier = None;
    }
}

impl Drop for NotificationGuard<'_> {
    fn drop(&mut self) {
        if let Some(notifier) = self.notifier {
            notifier.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_that_was_heard_and_not_answered_rings_again() {
        let notifier = NodeNotifier::new(Epoch(1), true);
        drop(notifier.rung().await);
        notifier.rung().await.answered();
        let silent = tokio::time::timeout(std::time::Duration::from_millis(20), notifier.rung()).await;
        assert!(silent.is_err());
    }

    #[tokio::test]
    async fn a_new_lease_is_not_called_by_what_rang_for_the_old_one_which_is() {
        let bells = NodeNotifiers::default();
        let lease = |epoch| Lease { node: NodeId::new("n").unwrap(), epoch: Epoch(epoch) };
        let old = bells.of(&lease(1));
        bells.tell(&NodeEvent::Registered { lease: lease(2), busy: false });
        old.rung().await.answered();
        assert!(!bells.of(&lease(2)).rung.load(Ordering::SeqCst));
        bells.tell(&NodeEvent::For(NodeId::new("n").unwrap()));
        bells.of(&lease(2)).rung().await.answered();
    }
}
