//! Callbacks for the start and the end of each process.

use super::{CallbackGuard, MIN_RETRY_DELAY, SubscriptionItem};
use crate::engine::Engine;
use longhaul_domain::{Fact, ProcessId, Work};
use longhaul_ports::{LoggedEvent, Store, StoreError, StoredProcess};
use std::sync::Arc;
use std::thread;
use tokio::runtime::Handle;

/// Maximum number of times that the record for a callback is read if the store does not respond.
const MAX_LOADS: u32 = 100;

impl Engine {
    /// Calls a function each time the command of a process starts, and each time reported work starts.
    ///
    /// See [`on_start_and_end`](Self::on_start_and_end) for the guarantees of callbacks.
    pub fn on_start(&self, callback: impl FnMut(&StoredProcess) + Send + 'static) -> CallbackGuard {
        self.on_start_and_end(callback, |_| {})
    }

    /// Calls a function each time a process has ended, however it ended. A process that is retried has not ended.
    ///
    /// See [`on_start_and_end`](Self::on_start_and_end) for the guarantees of callbacks.
    pub fn on_end(&self, callback: impl FnMut(&StoredProcess) + Send + 'static) -> CallbackGuard {
        self.on_start_and_end(|_| {}, callback)
    }

    /// Calls one function when a process starts and another one when it has ended. The engine calls both functions on
    /// one separate thread, and reports the start of a process before its end.
    ///
    /// The functions receive the current record of the process, which may have changed since its start. They are not
    /// called for a process that was pruned in the meantime. A function that panics, or that is too slow for the
    /// events, is not called again; the engine logs this. Neither commits nor the shutdown of the engine wait for
    /// callbacks.
    pub fn on_start_and_end(
        &self,
        mut on_start: impl FnMut(&StoredProcess) + Send + 'static,
        mut on_end: impl FnMut(&StoredProcess) + Send + 'static,
    ) -> CallbackGuard {
        let records = CallbackRecords {
            store: self.core.parts.store.clone(),
            runtime: self.core.listeners.runtime.clone(),
        };
        self.on_event(move |item| match item {
            SubscriptionItem::Event(logged) => match moment(&logged.event.fact) {
                Some(Moment::MayStart) => {
                    if let Some(stored) = records.load(logged).filter(|stored| is_start(logged, stored)) {
                        on_start(&stored);
                    }
                }
                Some(Moment::End) => {
                    if let Some(stored) = records.load(logged) {
                        on_end(&stored);
                    }
                }
                None => {}
            },
            SubscriptionItem::Resync { .. } => {
                tracing::error!("a callback for starts and ends was too slow and is not called again");
            }
        })
    }
}

/// Meaning of an event for a callback.
enum Moment {
    /// The work may start at this event. The kind of the work decides, see [`is_start`].
    MayStart,
    /// The process has ended.
    End,
}

const fn moment(fact: &Fact) -> Option<Moment> {
    if matches!(fact, Fact::Submitted | Fact::Claimed { .. } | Fact::Spawned { .. }) {
        return Some(Moment::MayStart);
    }
    if matches!(fact, Fact::Ended { .. }) { Some(Moment::End) } else { None }
}

/// Returns true if the event starts the work of the process. Reported work starts when it is accepted or, if it waits
/// for a slot, when it gets its slot.
fn is_start(logged: &LoggedEvent, stored: &StoredProcess) -> bool {
    match &stored.process.spec.work {
        Work::Command(_) => matches!(logged.event.fact, Fact::Spawned { .. }),
        Work::Reported(reported) if reported.queued => matches!(logged.event.fact, Fact::Claimed { .. }),
        Work::Reported(_) => matches!(logged.event.fact, Fact::Submitted),
    }
}

/// Reads the records that callbacks receive.
struct CallbackRecords {
    store: Arc<dyn Store>,
    runtime: Handle,
}

impl CallbackRecords {
    /// Returns the current record of the process of an event. Returns `None` if the record was pruned or cannot be
    /// read.
    fn load(&self, LoggedEvent { id, .. }: &LoggedEvent) -> Option<StoredProcess> {
        for _ in 0..MAX_LOADS {
            match self.runtime.block_on(self.store.load(&[*id])) {
                Ok(stored) => return stored.into_iter().next().flatten(),
                Err(StoreError::Unavailable { .. }) => thread::sleep(MIN_RETRY_DELAY),
                Err(error) => return give_up(*id, &error),
            }
        }
        tracing::error!(%id, "a callback was skipped: the store does not respond");
        None
    }
}

fn give_up(id: ProcessId, error: &StoreError) -> Option<StoredProcess> {
    tracing::error!(%id, %error, "a callback was skipped: the record cannot be read");
    None
}
