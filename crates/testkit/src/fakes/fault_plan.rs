//! The faults that are planned for one run of an engine.

use super::faults::{Fault, FaultList, PortCall, RandomFaults};
use super::locked;
use longhaul_domain::{Deadline, Timestamp};
use longhaul_ports::Clock;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// The faults that are planned for one run of an engine. All faulty ports of the engine share one plan.
#[derive(Debug)]
pub struct FaultPlan {
    clock: Arc<dyn Clock>,
    faults: Mutex<FaultList>,
    crashed: Notify,
    /// True if a crash is final, so that no call returns after it.
    mortal: bool,
    dead: AtomicBool,
    frozen: Mutex<Option<Timestamp>>,
    /// Notified when the end time of a freeze changes.
    thawed: Notify,
}

/// Failure of a call. Each port converts it to its own error type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFailure {
    Unavailable,
    Unknown,
    ReadOnly,
    Full,
}

impl FaultPlan {
    /// Creates a plan without faults. The clock is used for slow calls. After a simulated crash, other calls still
    /// work.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            faults: Mutex::default(),
            crashed: Notify::new(),
            mortal: false,
            dead: AtomicBool::new(false),
            frozen: Mutex::default(),
            thawed: Notify::new(),
        }
    }

    /// Creates a plan without faults, in which the first crash is final. After the crash, no call of any task returns
    /// or has an effect.
    #[must_use]
    pub fn mortal(clock: Arc<dyn Clock>) -> Self {
        Self { mortal: true, ..Self::new(clock) }
    }

    /// Makes the n-th call from now on fail; the first call is 1. Several planned faults take effect in the order in
    /// which they were added.
    pub fn fail(&self, nth: u32, fault: Fault) {
        locked(&self.faults).plan(None, nth, fault);
    }

    /// Makes the n-th call of this kind from now on fail; the first call is 1.
    pub fn fail_on(&self, call: PortCall, nth: u32, fault: Fault) {
        locked(&self.faults).plan(Some(call), nth, fault);
    }

    /// Makes one call in `one_in` fail. The seed determines which calls fail. Reads fail before they are executed;
    /// writes fail before or after they are applied. If `one_in` is 0, these faults are disabled.
    pub fn set_chaos(&self, seed: u64, one_in: u32) {
        self.set_mischief(RandomFaults { seed, one_in, late: Duration::ZERO, crash_in: 0 });
    }

    /// Enables random faults according to this rule.
    pub fn set_mischief(&self, mischief: RandomFaults) {
        locked(&self.faults).set_mischief(mischief);
    }

    /// Sets an outage: while `down` is true, every call that can fail returns the unavailable error of its port.
    pub fn set_down(&self, down: bool) {
        locked(&self.faults).set_down(down);
    }

    /// Simulates a full disk: while `full` is true, every call that would make the store larger is refused.
    pub fn set_full(&self, full: bool) {
        locked(&self.faults).set_full(full);
    }

    /// Returns all calls so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<PortCall> {
        locked(&self.faults).calls().to_vec()
    }

    /// Waits until a call causes a crash, by [`Fault::CrashBefore`] or [`Fault::CrashAfter`].
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// Simulates a crash outside of any call.
    pub fn kill(&self) {
        if self.mortal {
            self.dead.store(true, Ordering::Relaxed);
        }
        self.crashed.notify_one();
    }

    /// Simulates a stopped program: until this time, no call is executed and no call returns.
    pub fn freeze(&self, until: Timestamp) {
        *locked(&self.frozen) = Some(until);
        self.thawed.notify_waiters();
    }

    /// Returns true during a simulated freeze (see [`freeze`](Self::freeze)).
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        locked(&self.frozen).is_some_and(|until| self.clock.now() < until)
    }

    /// Returns true after the crash of a plan that was created with [`mortal`](Self::mortal).
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Executes a call that can fail, and applies the fault that is planned for the call.
    pub(super) async fn through<T, E>(
        &self,
        call: PortCall,
        work: impl Future<Output = Result<T, E>> + Send,
        error: impl FnOnce(CallFailure) -> E + Send,
    ) -> Result<T, E> {
        self.live().await;
        let fault = locked(&self.faults).strike(call);
        let answer = match fault {
            None => work.await,
            Some(Fault::Unavailable) => Err(error(CallFailure::Unavailable)),
            Some(Fault::Unknown) => {
                work.await?;
                Err(error(CallFailure::Unknown))
            }
            Some(Fault::ReadOnly) if call.writes() => Err(error(CallFailure::ReadOnly)),
            Some(Fault::Full) if call.writes() => Err(error(CallFailure::Full)),
            Some(Fault::ReadOnly | Fault::Full) => work.await,
            Some(Fault::Late(span)) => {
                self.delay(span).await;
                work.await
            }
            Some(Fault::Slow(span)) => {
                let answer = work.await;
                self.delay(span).await;
                answer
            }
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::CrashAfter) => {
                work.await?;
                self.crash().await
            }
        };
        self.live().await;
        answer
    }

    /// Executes a call that cannot fail. Only delays and crashes affect such a call.
    pub(super) async fn surely<T>(&self, call: PortCall, work: impl Future<Output = T> + Send) -> T {
        self.live().await;
        let fault = locked(&self.faults).strike(call);
        let answer = match fault {
            None | Some(Fault::Unavailable | Fault::Unknown | Fault::ReadOnly | Fault::Full) => work.await,
            Some(Fault::Late(span)) => {
                self.delay(span).await;
                work.await
            }
            Some(Fault::Slow(span)) => {
                let answer = work.await;
                self.delay(span).await;
                answer
            }
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::CrashAfter) => {
                work.await;
                self.crash().await
            }
        };
        self.live().await;
        answer
    }

    async fn delay(&self, span: Duration) {
        let until = self.clock.now().plus(span);
        self.clock.sleep_until(Deadline::At(until)).await;
        self.live().await;
    }

    async fn crash<T>(&self) -> T {
        self.kill();
        std::future::pending().await
    }

    /// Waits until the current freeze is over. After a final crash, waits forever.
    async fn live(&self) {
        while self.is_frozen() {
            let until = locked(&self.frozen).unwrap_or_default();
            tokio::select! {
                biased;
                () = self.thawed.notified() => {}
                () = self.clock.sleep_until(Deadline::At(until)) => {}
            }
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}
