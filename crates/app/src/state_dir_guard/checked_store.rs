//! A store wrapper that refuses calls after the manager has lost its state directory or its store.

use crate::state_dir_guard::{LostResource, StateDirGuard};
use crate::store_mark::StoreMark;
use async_trait::async_trait;
use longhaul_domain::{OpId, ProcessId};
use longhaul_engine::ports::{
    Listing, PageRequest, ProcessFilter, Store, StoreCall, StoreDecorator, StoreError, StoredProcess,
};
use std::error::Error;
use std::sync::Arc;
use tokio::sync::watch;

/// A store wrapper that acknowledges a write only if the state directory and the files of the store are still in place
/// when the write is complete.
#[derive(Debug)]
pub(crate) struct CheckedStore {
    inner: Arc<dyn Store>,
    state_dir_guard: StateDirGuard,
    /// Notified after each write that succeeded without a loss of the state directory or the store.
    written: watch::Sender<()>,
}

impl CheckedStore {
    /// Wraps a store. If the store has a mark, also keeps the mark up to date. The caller must be inside a Tokio
    /// runtime.
    pub(crate) fn new(
        inner: Arc<dyn Store>,
        state_dir_guard: StateDirGuard,
        mark: Option<StoreMark>,
    ) -> Self {
        let written = watch::Sender::new(());
        if let Some(mark) = mark {
            mark.follow(&inner, written.subscribe());
        }
        Self { inner, state_dir_guard, written }
    }

    /// Returns the reason why calls are refused.
    fn gone_error(&self) -> Box<dyn Error + Send + Sync> {
        self.state_dir_guard.loss().unwrap_or(LostResource::StateDir).to_string().into()
    }

    async fn guard<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call.method.is_write() { self.write(call.op, work).await } else { self.read(work).await }
    }

    /// Executes a write. The guard is checked twice: before the write, so that nothing is written in vain, and after
    /// the write, before its result is returned.
    async fn write<T>(
        &self,
        op: Option<OpId>,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if !self.state_dir_guard.holds() {
            return Err(StoreError::Unavailable { source: self.gone_error() });
        }
        let answer = work.await;
        if !self.state_dir_guard.holds() {
            return Err(StoreError::Unknown { op, source: self.gone_error() });
        }
        self.written.send_replace(());
        answer
    }

    /// Executes a read. A read promises nothing to the caller, so it needs no new inspection. It fails only if an
    /// earlier inspection has detected a loss.
    async fn read<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let answer = work.await;
        if self.state_dir_guard.is_lost() {
            Err(StoreError::Unavailable { source: self.gone_error() })
        } else {
            answer
        }
    }
}

#[async_trait]
impl StoreDecorator for CheckedStore {
    type Inner = dyn Store;

    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    fn around<T: Send>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        self.guard(call, work)
    }

    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        if self.state_dir_guard.is_lost() { vec![None; ids.len()] } else { self.inner.load_cached(ids).await }
    }

    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        if self.state_dir_guard.is_lost() { None } else { self.inner.list_cached(filter, page).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;
    use crate::lock::ManagerLock;
    use longhaul_client::StateDir;
    use longhaul_domain::NodeId;
    use longhaul_engine::ports::{Clock, NodeDescriptor};
    use longhaul_testkit::fakes::{FaultyStore, PortCall, ProbeStore, VirtualClock};
    use longhaul_testkit::suite::{StoreFixture, wrapper};
    use std::path::Path;

    fn facts() -> NodeDescriptor {
        NodeDescriptor {
            id: NodeId::new("here").unwrap(),
            home: None,
            boot: "boot".to_owned(),
            version: "1".to_owned(),
        }
    }

    fn guarded(path: &Path) -> (Arc<FaultyStore>, CheckedStore, ManagerLock) {
        let state = StateDir::prepare(path).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let state_dir_guard = StateDirGuard::of(&state, &lock).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::default());
        let inner = Arc::new(FaultyStore::new(compose::empty_store(&clock), clock));
        (inner.clone(), CheckedStore::new(inner, state_dir_guard, None), lock)
    }

    #[tokio::test]
    async fn nothing_is_begun_without_a_foothold() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("state");
        let (inner, store, _lock) = guarded(&path);
        store.register(&facts()).await.unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let refused = store.register(&facts()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        assert_eq!(inner.calls(), [PortCall::Register]);
        assert!(store.policy().await.is_err(), "and no policy is returned");
    }

    #[tokio::test]
    async fn every_method_reaches_the_inner_store() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(&top.path().join("state")).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let state_dir_guard = StateDirGuard::of(&state, &lock).unwrap();
        let clock = VirtualClock::default();
        let inner: Arc<dyn Clock> = Arc::new(clock.clone());
        let probe = ProbeStore::new(compose::empty_store(&inner));
        let store = CheckedStore::new(Arc::new(probe.clone()), state_dir_guard, None);
        let world = StoreFixture::new(Arc::new(store), clock);
        wrapper::every_method_reaches_the_inner_store(&world, &probe).await;
    }

    #[tokio::test]
    async fn write_during_the_loss_of_the_directory_is_not_acknowledged() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("state");
        let (_, store, _lock) = guarded(&path);
        let written = store.write(None, async {
            std::fs::rename(&path, top.path().join("aside")).unwrap();
            Ok(())
        });
        let answer = written.await;
        assert!(matches!(answer, Err(StoreError::Unknown { .. })), "{answer:?}");
    }
}
