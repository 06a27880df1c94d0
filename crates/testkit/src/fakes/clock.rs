//! A clock whose time passes only when a test says so.

use super::locked;
use async_trait::async_trait;
use longhaul_domain::{AwakeTime, Deadline, Timestamp, millis};
use longhaul_ports::{Clock, WallTime};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// A clock whose time passes only when a test says so. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    hands: Arc<Mutex<ClockState>>,
}

#[derive(Debug)]
struct ClockState {
    now: Timestamp,
    awake: AwakeTime,
    /// The wall clock less steady time, in milliseconds.
    wall_ahead: i64,
    /// In the order in which they lay down.
    sleepers: BTreeMap<u64, Sleeper>,
    next_sleeper: u64,
}

#[derive(Debug)]
struct Sleeper {
    until: Deadline,
    wake: oneshot::Sender<()>,
}

impl VirtualClock {
    /// A clock that stands at these times; the wall shows steady time.
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

    /// Lets time pass and wakes, in the order of their deadlines, those whose time has come.
    pub fn advance(&self, span: Duration) {
        let mut hands = locked(&self.hands);
        hands.now = hands.now.plus(span);
        hands.awake = hands.awake.plus(span);
        hands.wake();
    }

    /// Lets time pass while the machine is suspended: steady time goes on, awake time does not.
    pub fn suspend(&self, span: Duration) {
        let mut hands = locked(&self.hands);
        hands.now = hands.now.plus(span);
        hands.wake();
    }

    /// Sets the clock on the wall; no deadline moves.
    pub fn set_wall(&self, wall: WallTime) {
        let mut hands = locked(&self.hands);
        hands.wall_ahead = wall.0.saturating_sub(hands.now.0);
    }

    /// The time until the next sleeper wants to wake; none if nobody sleeps.
    #[must_use]
    pub fn until_next_deadline(&self) -> Option<Duration> {
        locked(&self.hands).next()
    }

    /// Lets time pass exactly until the next sleeper wakes; false, and no time passes, if nobody sleeps.
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

    /// Returns when every other task waits. No time of this clock passes.
    ///
    /// Exact on a runtime of one thread whose time is paused; elsewhere it gives the others one real millisecond.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Lets time pass from deadline to deadline, and everyone act at each, until the span is over.
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

    /// Drives time from deadline to deadline until `work` is done; none if the span is over before, or if nobody sleeps
    /// any more and it still waits.
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
    /// The 14th of November 2023, one hour after the machine was started.
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
        // The sender goes only with the clock itself, and then nobody is left to wake.
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
                // Whoever slept may have given up.
                sleeper.wake.send(()).ok();
            }
        }
    }

    /// Orders deadlines of both sorts: the one that passed longest ago comes first.
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

/// The span between two moments in milliseconds, for those who count back from a moment.
pub(super) fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(millis(span)))
}
