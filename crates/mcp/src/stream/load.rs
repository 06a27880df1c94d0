//! Load of a connection: its active requests, its waiting requests and its unsent bytes.

use rmcp::model::RequestId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Maximum number of active requests of one connection.
const MAX_ACTIVE_REQUESTS: usize = 64;
/// Maximum number of waiting requests of one connection. Further waiting requests are rejected. If they were left
/// unread instead, cancellations of waiting requests would not be read either.
const MAX_PARKED: usize = 320;
/// Maximum total size of the active requests, in bytes. Above it, no further request is read. The same limit applies to
/// the total size of the waiting requests.
const MAX_ACTIVE_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Maximum size of the unsent replies, in bytes. Above it, no further request is read.
const UNSENT: usize = 1024 * 1024;

/// Current load of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionLoad {
    now: Mutex<LoadState>,
    less: Notify,
}

#[derive(Debug, Default)]
struct LoadState {
    at_work: RequestLoad,
    parked: RequestLoad,
    unsent: usize,
}

/// Requests by id, with their sizes.
#[derive(Debug, Default)]
struct RequestLoad {
    by_id: HashMap<RequestId, usize>,
    bytes: usize,
}

/// Decision about a new request: it is accepted, or it is rejected for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestAdmission {
    Once,
    /// A request with the same id is still active.
    Twice,
    /// The maximum number or size of waiting requests is reached.
    Crowded,
}

/// Bytes that count as unsent until this value is dropped.
#[derive(Debug)]
pub(super) struct UnsentBytes {
    load: Arc<ConnectionLoad>,
    bytes: usize,
}

impl ConnectionLoad {
    /// Waits until another request may be read.
    pub(super) async fn room(&self) {
        loop {
            let less = self.less.notified();
            if self.lock().has_room() {
                return;
            }
            less.await;
        }
    }

    /// Counts a request of this size, unless it must be rejected. `parks` is true for a request that waits for an
    /// event.
    pub(super) fn begin(&self, id: &RequestId, parks: bool, bytes: usize) -> RequestAdmission {
        let mut now = self.lock();
        if now.at_work.has(id) || now.parked.has(id) {
            return RequestAdmission::Twice;
        }
        if !parks {
            now.at_work.add(id, bytes);
            return RequestAdmission::Once;
        }
        if now.parked.by_id.len() >= MAX_PARKED || now.parked.bytes + bytes > MAX_ACTIVE_REQUEST_BYTES {
            return RequestAdmission::Crowded;
        }
        now.parked.add(id, bytes);
        RequestAdmission::Once
    }

    /// Removes a request after it was answered, or if it will not be answered.
    pub(super) fn done(&self, id: &RequestId) {
        let mut now = self.lock();
        now.at_work.remove(id);
        now.parked.remove(id);
        drop(now);
        self.less.notify_waiters();
    }

    /// Waits until all bytes are sent.
    pub(super) async fn sent(&self) {
        loop {
            let less = self.less.notified();
            if self.lock().unsent == 0 {
                return;
            }
            less.await;
        }
    }

    /// Counts bytes as unsent until the returned value is dropped.
    pub(super) fn weigh(self: &Arc<Self>, bytes: usize) -> UnsentBytes {
        self.lock().unsent += bytes;
        UnsentBytes { load: self.clone(), bytes }
    }

    fn lock(&self) -> MutexGuard<'_, LoadState> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadState {
    fn has_room(&self) -> bool {
        self.at_work.by_id.len() < MAX_ACTIVE_REQUESTS
            && self.at_work.bytes < MAX_ACTIVE_REQUEST_BYTES
            && self.unsent <= UNSENT
    }
}

impl RequestLoad {
    fn has(&self, id: &RequestId) -> bool {
        self.by_id.contains_key(id)
    }

    fn add(&mut self, id: &RequestId, bytes: usize) {
        self.bytes += bytes;
        self.by_id.insert(id.clone(), bytes);
    }

    fn remove(&mut self, id: &RequestId) {
        let bytes = self.by_id.remove(id).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for UnsentBytes {
    fn drop(&mut self) {
        let mut now = self.load.lock();
        now.unsent = now.unsent.saturating_sub(self.bytes);
        drop(now);
        self.load.less.notify_waiters();
    }
}
