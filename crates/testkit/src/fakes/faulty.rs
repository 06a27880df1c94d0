//! A store that fails on demand.

use super::fault_plan::{CallFailure, FaultPlan};
use super::faults::{Fault, PortCall};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, OpId, ProcessId};
use longhaul_ports::{
    Clock, Store, StoreCall, StoreDecorator, StoreError, StoreMethod, StoreRejection, StoredProcess,
};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A store that fails on demand. It wraps a working store.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    trouble: Arc<FaultPlan>,
    unkept: AtomicBool,
    loaded: AtomicUsize,
}

impl FaultyStore {
    /// Wraps a store. The wrapper has no faults at first. The clock is used for slow calls.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self::sharing(inner, Arc::new(FaultPlan::new(clock)))
    }

    /// Wraps a store with a fault plan that the other ports of the same engine share.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn Store>, trouble: Arc<FaultPlan>) -> Self {
        Self { inner, trouble, unkept: AtomicBool::new(false), loaded: AtomicUsize::new(0) }
    }

    /// Plans a fault; see [`FaultPlan::fail`].
    pub fn fail(&self, nth: u32, fault: Fault) {
        self.trouble.fail(nth, fault);
    }

    /// Plans a fault for one kind of call; see [`FaultPlan::fail_on`].
    pub fn fail_on(&self, call: PortCall, nth: u32, fault: Fault) {
        self.trouble.fail_on(call, nth, fault);
    }

    /// Enables random faults; see [`FaultPlan::set_chaos`].
    pub fn set_chaos(&self, seed: u64, one_in: u32) {
        self.trouble.set_chaos(seed, one_in);
    }

    /// Sets an outage; see [`FaultPlan::set_down`].
    pub fn set_down(&self, down: bool) {
        self.trouble.set_down(down);
    }

    /// Simulates a full disk; see [`FaultPlan::set_full`].
    pub fn set_full(&self, full: bool) {
        self.trouble.set_full(full);
    }

    /// While `unkept` is true, the method `is_durable` fails, as if a replica were missing.
    pub fn set_unkept(&self, unkept: bool) {
        self.unkept.store(unkept, Ordering::Relaxed);
    }

    /// Returns the number of records that callers have requested by id so far.
    #[must_use]
    pub fn loaded(&self) -> usize {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Returns all calls so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<PortCall> {
        self.trouble.calls()
    }

    /// Waits for a crash; see [`FaultPlan::crashed`].
    pub async fn crashed(&self) {
        self.trouble.crashed().await;
    }

    async fn through<T>(
        &self,
        call: PortCall,
        op: Option<OpId>,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let error = |failed| match failed {
            CallFailure::Unavailable => StoreError::Unavailable { source: "the test says so".into() },
            CallFailure::Unknown => StoreError::Unknown { op, source: "the test says so".into() },
            CallFailure::ReadOnly => StoreError::ReadOnly { why: "the test says so".to_owned() },
            CallFailure::Full => StoreError::Refused(StoreRejection::Full),
        };
        self.trouble.through(call, work, error).await
    }
}

#[async_trait]
impl StoreDecorator for FaultyStore {
    type Inner = dyn Store;

    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    fn around<T: Send>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        self.through(call.method.into(), call.op, work)
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        self.loaded.fetch_add(ids.len(), Ordering::Relaxed);
        self.through(PortCall::Read, None, self.inner.load(ids)).await
    }

    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        if self.unkept.load(Ordering::Relaxed) {
            return Err(StoreError::Unknown { op: None, source: "a replica is away".into() });
        }
        self.inner.is_durable(id, attempt).await
    }
}

impl From<StoreMethod> for PortCall {
    fn from(method: StoreMethod) -> Self {
        match method {
            StoreMethod::Submit => Self::Submit,
            StoreMethod::Claim => Self::Claim,
            StoreMethod::Commit => Self::Commit,
            StoreMethod::EnqueueAction => Self::Wish,
            StoreMethod::UpdateLiveStats => Self::Touch,
            StoreMethod::Load | StoreMethod::LoadEach | StoreMethod::List | StoreMethod::IsDurable => {
                Self::Read
            }
            StoreMethod::ClaimDue | StoreMethod::Reconcile => Self::Attention,
            StoreMethod::Prune => Self::Prune,
            StoreMethod::Policy | StoreMethod::Queues | StoreMethod::LabelClasses => Self::Queues,
            StoreMethod::SetPolicy => Self::SetPolicy,
            StoreMethod::Read | StoreMethod::End => Self::Events,
            StoreMethod::StoreTail | StoreMethod::LoadTail => Self::Tail,
            StoreMethod::Register | StoreMethod::Leave | StoreMethod::Drain | StoreMethod::Forget => {
                Self::Register
            }
            StoreMethod::RenewLease
            | StoreMethod::WaitForUpdates
            | StoreMethod::Nodes
            | StoreMethod::Advertise
            | StoreMethod::ListNodes => Self::Beat,
        }
    }
}
