//! Contract of every clock.

use crate::suite::{must, soon};
use longhaul_domain::{AwakeTime, Deadline, Timestamp};
use longhaul_ports::Clock;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fixture for one rule: a clock that runs in real time.
#[derive(Debug)]
pub struct ClockFixture {
    /// Clock under test.
    pub clock: Arc<dyn Clock>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl ClockFixture {
    /// Creates a fixture around a clock that runs in real time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, _guard: None }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> ClockFixture) -> ClockFixture {
    open()
}

/// Steady time and awake time never decrease, on any thread.
pub async fn time_never_goes_back(world: &ClockFixture) {
    let watchers: Vec<_> = (0..4)
        .map(|_| {
            let clock = Arc::clone(&world.clock);
            tokio::task::spawn_blocking(move || {
                let mut before = (clock.now(), clock.awake());
                for _ in 0..10_000 {
                    let now = (clock.now(), clock.awake());
                    assert!(before.0 <= now.0 && before.1 <= now.1, "{before:?} then {now:?}");
                    before = now;
                }
            })
        })
        .collect();
    for watcher in watchers {
        must(watcher.await);
    }
}

/// Steady time and awake time pass at the speed of real time.
pub async fn time_passes(world: &ClockFixture) {
    let begin = (world.clock.now(), world.clock.awake(), Instant::now());
    world.clock.sleep_until(Deadline::Awake(begin.1.plus(Duration::from_millis(200)))).await;
    let real = begin.2.elapsed() + Duration::from_millis(2);
    let steady = world.clock.now().since(begin.0);
    let awake = world.clock.awake().since(begin.1);
    let least = Duration::from_millis(195);
    assert!(steady >= least && steady <= real, "{steady:?} of {real:?}");
    assert!(awake >= least && awake <= real, "{awake:?} of {real:?}");
}

/// The wall clock shows the time of this machine within 5 seconds.
pub async fn the_wall_clock_shows_the_time_of_day(world: &ClockFixture) {
    let since = must(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH));
    let here = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    assert!((world.clock.wall().0 - here).abs() < 5_000);
}

/// A sleeping task wakes shortly after its deadline, never before.
pub async fn a_sleeping_task_wakes_at_its_deadline_and_not_before(world: &ClockFixture) {
    let clock = &world.clock;
    for millis in [1, 15, 70] {
        let span = Duration::from_millis(millis);
        let steady = clock.now().plus(span);
        soon(clock.sleep_until(Deadline::At(steady))).await;
        assert!(clock.now() >= steady);
        let awake = clock.awake().plus(span);
        soon(clock.sleep_until(Deadline::Awake(awake))).await;
        assert!(clock.awake() >= awake);
        assert!(clock.awake().since(awake) < Duration::from_secs(2));
    }
}

/// A sleep with a past deadline returns immediately.
pub async fn a_sleep_with_a_past_deadline_returns_immediately(world: &ClockFixture) {
    let clock = &world.clock;
    for deadline in [
        Deadline::At(clock.now()),
        Deadline::At(Timestamp(i64::MIN)),
        Deadline::Awake(clock.awake()),
        Deadline::Awake(AwakeTime(0)),
    ] {
        must(tokio::time::timeout(Duration::from_millis(500), clock.sleep_until(deadline)).await);
    }
}

/// A sleep with a very late deadline keeps waiting. Dropping its future cancels it.
pub async fn a_sleep_with_a_late_deadline_keeps_waiting(world: &ClockFixture) {
    for deadline in [
        Deadline::At(Timestamp(i64::MAX)),
        Deadline::Awake(AwakeTime(i64::MAX)),
        Deadline::At(world.clock.now().plus(Duration::from_secs(86_400 * 365))),
    ] {
        let sleep = world.clock.sleep_until(deadline);
        assert!(tokio::time::timeout(Duration::from_millis(50), sleep).await.is_err());
    }
}

/// Many tasks can sleep at the same time. Each task wakes at its own deadline.
pub async fn many_tasks_can_sleep_at_the_same_time(world: &ClockFixture) {
    let begin = world.clock.now();
    let sleepers: Vec<_> = (0..200_u64)
        .map(|place| {
            let clock = Arc::clone(&world.clock);
            tokio::spawn(async move {
                let until = begin.plus(Duration::from_millis(place * 7 % 200));
                clock.sleep_until(Deadline::At(until)).await;
                assert!(clock.now() >= until);
            })
        })
        .collect();
    for sleeper in sleepers {
        must(soon(sleeper).await);
    }
}

/// Generates one test for each rule about clocks.
///
/// Takes a function that opens a [`ClockFixture`].
#[macro_export]
macro_rules! clock_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, clock,
            time_never_goes_back
            time_passes
            the_wall_clock_shows_the_time_of_day
            a_sleeping_task_wakes_at_its_deadline_and_not_before
            a_sleep_with_a_past_deadline_returns_immediately
            a_sleep_with_a_late_deadline_keeps_waiting
            many_tasks_can_sleep_at_the_same_time
        }
    };
}
