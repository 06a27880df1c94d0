//! A clock whose time passes only when a test moves it.

use super::locked;
use async_trait::async_trait;
use longhaul_domain::{AwakeTime, Deadline, Timestamp, millis};
use longhaul_ports::{Clock, WallTime};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// A clock whose time passes only when a test moves it. Clones share the same time.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    hands: Arc<Mutex<ClockState>>,
}

#[derive(Debug)]
struct ClockState {
    now: Timestamp,
    awake: AwakeTime,
    /// Wall-clock time minus steady time, in milliseconds.
    wall_ahead: i64,
    /// Waiting tasks in the order in which they started to wait.
    sleepers: BTreeMap<u64, Sleeper>,
    next_sleeper: u64,
}

#[derive(Debug)]
struct Sleeper {
    until: Deadline,
    wake: oneshot::Sender<()>,
}

impl VirtualClock {
    /// Creates a clock that shows these times. The wall clock starts at the steady time `now`.
    #[must_use]
    pub fn at(now: Timestamp, awake: AwakeTime) -> Self {
        Self {
            hands: Arc::new(Mutex::new(ClockState {
                now,
                awake,
                wall_ahead: 0,
                sleepers: BTreeMap::new(),
                next_sleeper: 0,
            })),
        }
    }

    /// Advances all clocks by `span` and wakes every task whose deadline has passed, in the order of the deadlines.
    pub fn advance(&self, span: Duration) {
        let mut hands = locked(&self.hands);
        hands.now = hands.now.plus(span);
        hands.awake = hands.awake.plus(span);
        hands.wake();
    }

    /// Simulates a suspended machine: steady time and wall time advance, awake time does not.
    pub fn suspend(&self, span: Duration) {
        let mut hands = locked(&self.hands);
        hands.now = hands.now.plus(span);
        hands.wake();
    }

    /// Sets the wall clock; no deadline moves.
    pub fn set_wall(&self, wall: WallTime) {
        let mut hands = locked(&self.hands);
        hands.wall_ahead = wall.0.saturating_sub(hands.now.0);
    }

    /// Returns the time until the next deadline. Returns `None` if no task sleeps.
    #[must_use]
    pub fn until_next_deadline(&self) -> Option<Duration> {
        locked(&self.hands).next()
    }

    /// Advances the clock exactly to the next deadline. If no task sleeps, returns false and does not advance the
    /// clock.
    #[must_use]
    pub fn advance_to_next_deadline(&self) -> bool {
        match self.until_next_deadline() {
            Some(span) => {
                self.advance(span);
                true
            }
            None => false,
        }
    }

    /// Returns as soon as every other task is waiting. The time of this clock does not advance.
    ///
    /// The result is exact on a single-threaded runtime with paused time. On any other runtime, the other tasks get one
    /// real millisecond.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Advances the clock from deadline to deadline until `span` has passed. All tasks act at each deadline.
    pub async fn run_for(&self, span: Duration) {
        let end = self.now().plus(span);
        loop {
            self.settle().await;
            let left = end.since(self.now());
            match self.until_next_deadline() {
                Some(next) if next <= left => self.advance(next),
                Some(_) | None if left.is_zero() => return,
                Some(_) | None => self.advance(left),
            }
        }
    }

    /// Advances the clock from deadline to deadline until `work` is done. Returns `None` if `span` passes first, or if
    /// `work` is still waiting although no task sleeps.
    pub async fn run_until<T>(&self, span: Duration, work: impl Future<Output = T>) -> Option<T> {
        let end = self.now().plus(span);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = self.settle() => {}
            }
            let next = self.until_next_deadline()?;
            if next > end.since(self.now()) {
                return None;
            }
            self.advance(next);
        }
    }
}

impl Default for VirtualClock {
    /// Creates a clock that shows 14 November 2023, one hour after the machine was booted.
    fn default() -> Self {
        Self::at(Timestamp(1_700_000_000_000), AwakeTime(3_600_000))
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        locked(&self.hands).now
    }

    fn awake(&self) -> AwakeTime {
        locked(&self.hands).awake
    }

    fn wall(&self) -> WallTime {
        let hands = locked(&self.hands);
        WallTime(hands.now.0.saturating_add(hands.wall_ahead))
    }

    async fn sleep_until(&self, deadline: Deadline) {
        let Some(woken) = locked(&self.hands).lie_down(deadline) else {
            return;
        };
        // The sender is dropped without a message only if the clock itself is dropped. After that, no task can wake.
        if woken.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl ClockState {
    fn left(&self, deadline: Deadline) -> Duration {
        match deadline {
            Deadline::At(at) => at.since(self.now),
            Deadline::Awake(at) => at.since(self.awake),
        }
    }

    fn lie_down(&mut self, until: Deadline) -> Option<oneshot::Receiver<()>> {
        if self.left(until).is_zero() {
            return None;
        }
        let (wake, woken) = oneshot::channel();
        self.next_sleeper += 1;
        self.sleepers.insert(self.next_sleeper, Sleeper { until, wake });
        Some(woken)
    }

    fn wake(&mut self) {
        let mut due: Vec<(i64, u64)> = self
            .sleepers
            .iter()
            .filter(|(_, sleeper)| self.left(sleeper.until).is_zero())
            .map(|(place, sleeper)| (self.overdue(sleeper.until), *place))
            .collect();
        due.sort_unstable();
        for (_, place) in due {
            if let Some(sleeper) = self.sleepers.remove(&place) {
                // The send fails if the waiting task was dropped.
                sleeper.wake.send(()).ok();
            }
        }
    }

    /// Returns the sort key of a deadline of either kind. The deadline that passed longest ago comes first.
    const fn overdue(&self, deadline: Deadline) -> i64 {
        match deadline {
            Deadline::At(at) => at.0.saturating_sub(self.now.0),
            Deadline::Awake(at) => at.0.saturating_sub(self.awake.0),
        }
    }

    fn next(&mut self) -> Option<Duration> {
        self.sleepers.retain(|_, sleeper| !sleeper.wake.is_closed());
        self.sleepers
            .values()
            .map(|sleeper| match sleeper.until {
                Deadline::At(at) => at.since(self.now),
                Deadline::Awake(at) => at.since(self.awake),
            })
            .min()
    }
}

/// Returns the time that lies `span` before `now`.
pub(super) fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(millis(span)))
}
