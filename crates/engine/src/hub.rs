//! Wakes whoever waits for a change of a process.

use longhaul_domain::ProcessId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Who waits for which process. A change wakes only those who asked for it.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    waiting: Mutex<HashMap<ProcessId, Vec<Arc<Notify>>>>,
}

impl Hub {
    /// Listens to some processes, from now on: subscribe first, then look.
    pub(crate) fn subscribe(&self, ids: &[ProcessId]) -> Subscription<'_> {
        let bell = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            waiting.entry(*id).or_default().push(bell.clone());
        }
        Subscription { hub: self, ids: ids.to_vec(), bell }
    }

    /// Something changed, and nobody can tell what.
    pub(crate) fn all_changed(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.values().flatten().for_each(|bell| bell.notify_one());
    }

    /// A process changed.
    pub(crate) fn changed(&self, id: ProcessId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in waiting.get(&id).into_iter().flatten() {
            bell.notify_one();
        }
    }
}

/// An open ear; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Subscription<'a> {
    hub: &'a Hub,
    ids: Vec<ProcessId>,
    bell: Arc<Notify>,
}

impl Subscription<'_> {
    /// Returns at the next change since the last call, or since the subscription.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Subscription<'_> {
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
