//! Wakes whoever waits for a change of a process.

use longhaul_domain::ProcessId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Who waits for which process. A change wakes only those who asked for it.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    waiting: Mutex<HashMap<ProcessId, Vec<Arc<PendingNotification>>>>,
}

/// What one subscription has not been told yet.
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
    /// Listens to some processes, from now on: subscribe first, then look.
    pub(crate) fn subscribe(&self, ids: &[ProcessId]) -> HubSubscription<'_> {
        let bell = Arc::new(PendingNotification::default());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            waiting.entry(*id).or_default().push(bell.clone());
        }
        HubSubscription { hub: self, ids: ids.to_vec(), bell }
    }

    /// Something changed, and nobody can tell what.
    pub(crate) fn all_changed(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, bells) in waiting.iter() {
            bells.iter().for_each(|bell| bell.ring(*id));
        }
    }

    /// A process changed.
    pub(crate) fn changed(&self, id: ProcessId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in waiting.get(&id).into_iter().flatten() {
            bell.ring(id);
        }
    }
}

/// An open ear; dropping it closes it.
#[derive(Debug)]
pub(crate) struct HubSubscription<'a> {
    hub: &'a Notifier,
    ids: Vec<ProcessId>,
    bell: Arc<PendingNotification>,
}

impl HubSubscription<'_> {
    /// Returns at the next change since the last call, or since the subscription.
    pub(crate) async fn changed(&self) {
        self.next().await;
    }

    /// The same; tells which processes changed.
    pub(crate) async fn next(&self) -> BTreeSet<ProcessId> {
        loop {
            self.bell.ringing.notified().await;
            let mut changed = self.bell.changed.lock().unwrap_or_else(PoisonError::into_inner);
            if !changed.is_empty() {
                return std::mem::take(&mut *changed);
            }
        }
    }
}

impl Drop for HubSubscription<'_> {
    fn drop(&mut self) {
        let mut waiting = self.hub.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.ids {
            if let Some(bells) = waiting.get_mut(id) {
                bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if bells.is_empty() {
                    waiting.remove(id);
                }
            }
        }
    }
}
