//! What goes wrong for one life of an engine.

use super::faults::{Fault, FaultList, PortCall, RandomFaults};
use super::locked;
use longhaul_domain::{Deadline, Timestamp};
use longhaul_ports::Clock;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// What goes wrong for one life of an engine: its faulty ports share it.
#[derive(Debug)]
pub struct FaultPlan {
    clock: Arc<dyn Clock>,
    faults: Mutex<FaultList>,
    crashed: Notify,
    /// A crash is the end of everything that shares this.
    mortal: bool,
    dead: AtomicBool,
    frozen: Mutex<Option<Timestamp>>,
    /// Rings when the end of a freeze moves.
    thawed: Notify,
}

/// How a call failed, for the error of its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFailure {
    Unavailable,
    Unknown,
    ReadOnly,
    Full,
}

impl FaultPlan {
    /// Nothing goes wrong yet; the clock is for calls that take long. After a crash other calls go on.
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

    /// The same for one life: from its crash on no call ever returns or does anything, whoever still calls.
    #[must_use]
    pub fn mortal(clock: Arc<dyn Clock>) -> Self {
        Self { mortal: true, ..Self::new(clock) }
    }

    /// Makes the n-th call from now on go wrong; the first is 1. Plans are met in the order in which they were made.
    pub fn fail(&self, nth: u32, fault: Fault) {
        locked(&self.faults).plan(None, nth, fault);
    }

    /// Makes the n-th call of this kind from now on go wrong; the first is 1.
    pub fn fail_on(&self, call: PortCall, nth: u32, fault: Fault) {
        locked(&self.faults).plan(Some(call), nth, fault);
    }

    /// Makes one call in so many go wrong, by a seed: reads before, writes before or after they were applied. 0 ends it.
    pub fn set_chaos(&self, seed: u64, one_in: u32) {
        self.set_mischief(RandomFaults { seed, one_in, late: Duration::ZERO, crash_in: 0 });
    }

    /// Draws faults from now on as this says.
    pub fn set_mischief(&self, mischief: RandomFaults) {
        locked(&self.faults).set_mischief(mischief);
    }

    /// While it is down, every call that can fail is answered as unavailable.
    pub fn set_down(&self, down: bool) {
        locked(&self.faults).set_down(down);
    }

    /// While it is full, every call that would make the store larger is refused for want of room.
    pub fn set_full(&self, full: bool) {
        locked(&self.faults).set_full(full);
    }

    /// What was called so far.
    #[must_use]
    pub fn calls(&self) -> Vec<PortCall> {
        locked(&self.faults).calls().to_vec()
    }

    /// Parks until a call met [`Fault::CrashBefore`] or [`Fault::CrashAfter`].
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// Ends the life, as a crash in no call at all would.
    pub fn kill(&self) {
        if self.mortal {
            self.dead.store(true, Ordering::Relaxed);
        }
        self.crashed.notify_one();
    }

    /// Until then no call is made and none returns, as for a program that is stopped and goes on later.
    pub fn freeze(&self, until: Timestamp) {
        *locked(&self.frozen) = Some(until);
        self.thawed.notify_waiters();
    }

    /// Whether it is frozen now.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        locked(&self.frozen).is_some_and(|until| self.clock.now() < until)
    }

    /// Whether a mortal life is over.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// A call that can fail.
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

    /// A call that cannot fail: it is late, or a crash.
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

    /// Whoever calls while it is frozen waits, and whoever calls after the end waits for ever.
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
