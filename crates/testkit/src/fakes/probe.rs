//! A store that records the calls of its methods.

use super::locked;
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{
    Listing, PageRequest, ProcessFilter, Store, StoreCall, StoreDecorator, StoreError, StoreMethod,
    StoredProcess,
};
use std::sync::{Arc, Mutex};

/// A method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledMethod {
    /// A store method that can fail.
    Call(StoreMethod),
    /// Method `away_since`.
    AwaySince,
    /// Method `is_local_only`.
    IsAlone,
    /// Method `load_cached`.
    Recall,
    /// Method `list_cached`.
    RecallPage,
    /// Method `leases_expire`.
    LeasesEnd,
}

/// A store that records the calls of its methods. It wraps a working store. Clones share the same record.
#[derive(Clone, Debug)]
pub struct ProbeStore {
    inner: Arc<dyn Store>,
    heard: Arc<Mutex<Vec<CalledMethod>>>,
}

impl ProbeStore {
    /// Wraps a store and records the calls to it.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, heard: Arc::default() }
    }

    /// Returns the called methods, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<CalledMethod> {
        locked(&self.heard).clone()
    }

    fn note(&self, method: CalledMethod) {
        locked(&self.heard).push(method);
    }
}

#[async_trait]
impl StoreDecorator for ProbeStore {
    type Inner = dyn Store;

    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    fn around<T: Send>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        self.note(CalledMethod::Call(call.method));
        work
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.note(CalledMethod::AwaySince);
        self.inner.away_since()
    }

    fn is_local_only(&self, id: &ProcessId) -> bool {
        self.note(CalledMethod::IsAlone);
        self.inner.is_local_only(id)
    }

    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        self.note(CalledMethod::Recall);
        self.inner.load_cached(ids).await
    }

    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        self.note(CalledMethod::RecallPage);
        self.inner.list_cached(filter, page).await
    }

    fn leases_expire(&self) -> bool {
        self.note(CalledMethod::LeasesEnd);
        self.inner.leases_expire()
    }
}
