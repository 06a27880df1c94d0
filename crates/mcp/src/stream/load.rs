//! How much a connection keeps the manager busy.

use rmcp::model::RequestId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The most requests of one connection at work at once.
const MAX_ACTIVE_REQUESTS: usize = 64;
/// The most that wait for something. More are refused, not left unread: what ends one of them has to be heard.
const MAX_PARKED: usize = 320;
/// The most bytes of requests at work when another one is read, and the most bytes of those that wait.
const MAX_ACTIVE_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// The most bytes of answers that a client has not taken when more of its requests are read.
const UNSENT: usize = 1024 * 1024;

/// What is at work for one connection.
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

/// Requests with their bytes.
#[derive(Debug, Default)]
struct RequestLoad {
    by_id: HashMap<RequestId, usize>,
    bytes: usize,
}

/// Whether a request may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestAdmission {
    Once,
    /// Its id is at work already.
    Twice,
    /// As many wait as may.
    Crowded,
}

/// Bytes that are not sent yet.
#[derive(Debug)]
pub(super) struct UnsentBytes {
    load: Arc<ConnectionLoad>,
    bytes: usize,
}

impl ConnectionLoad {
    /// Waits until there is room for another request.
    pub(super) async fn room(&self) {
        loop {
            let less = self.less.notified();
            if self.lock().has_room() {
                return;
            }
            less.await;
        }
    }

    /// Notes a request of so many bytes that begins.
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

    /// Notes that a request is answered, or never will be.
    pub(super) fn done(&self, id: &RequestId) {
        let mut now = self.lock();
        now.at_work.remove(id);
        now.parked.remove(id);
        drop(now);
        self.less.notify_waiters();
    }

    /// Waits until nothing is unsent.
    pub(super) async fn sent(&self) {
        loop {
            let less = self.less.notified();
            if self.lock().unsent == 0 {
                return;
            }
            less.await;
        }
    }

    /// Notes bytes that are to be sent, until what is given back is dropped.
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
