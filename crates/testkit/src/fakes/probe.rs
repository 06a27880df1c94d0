//! A store that notes which of its methods are called.

use super::locked;
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{
    Decorator, Filter, Listing, PageAsk, Store, StoreCall, StoreError, StoreMethod, Stored,
};
use std::sync::{Arc, Mutex};

/// A method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// One that may fail.
    Call(StoreMethod),
    /// `away_since`.
    AwaySince,
    /// `is_alone`.
    IsAlone,
    /// `recall`.
    Recall,
    /// `recall_page`.
    RecallPage,
    /// `leases_end`.
    LeasesEnd,
}

/// A store that notes which of its methods are called, around one that works. Clones are the same.
#[derive(Clone, Debug)]
pub struct ProbeStore {
    inner: Arc<dyn Store>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl ProbeStore {
    /// Notes what is asked of a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, heard: Arc::default() }
    }

    /// The methods that were called, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        locked(&self.heard).clone()
    }

    fn note(&self, method: Heard) {
        locked(&self.heard).push(method);
    }
}

#[async_trait]
impl Decorator for ProbeStore {
    type Inner = dyn Store;

    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    fn around<T: Send>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        self.note(Heard::Call(call.method));
        work
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.note(Heard::AwaySince);
        self.inner.away_since()
    }

    fn is_alone(&self, id: &ProcessId) -> bool {
        self.note(Heard::IsAlone);
        self.inner.is_alone(id)
    }

    async fn recall(&self, ids: &[ProcessId]) -> Vec<Option<Stored>> {
        self.note(Heard::Recall);
        self.inner.recall(ids).await
    }

    async fn recall_page(&self, filter: &Filter, page: &PageAsk) -> Option<Listing> {
        self.note(Heard::RecallPage);
        self.inner.recall_page(filter, page).await
    }

    fn leases_end(&self) -> bool {
        self.note(Heard::LeasesEnd);
        self.inner.leases_end()
    }
}
