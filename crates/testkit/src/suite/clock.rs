//! What every clock promises.

use crate::suite::{must, soon};
use longhaul_domain::{AwakeTime, Deadline, Timestamp};
use longhaul_ports::Clock;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock of its own for each rule; its time passes by itself.
#[derive(Debug)]
pub struct ClockFixture {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl ClockFixture {
    /// A world around a clock whose time passes by itself.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, _guard: None }
    }

    /// The same; what is given lives as long as the world, such as a temporary directory.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

/// Opens a world.
pub fn open(open: impl FnOnce() -> ClockFixture) -> ClockFixture {
    open()
}

/// Neither steady nor awake time goes back, whoever looks.
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

/// Both pass as fast as time does.
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

/// The wall clock is not set by us: it shows about what this machine's does.
pub async fn the_wall_shows_the_time_of_day(world: &ClockFixture) {
    let since = must(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH));
    let here = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    assert!((world.clock.wall().0 - here).abs() < 5_000);
}

/// A sleeper wakes when its deadline has passed, never before, and not much later.
pub async fn a_sleeper_wakes_at_its_deadline_and_not_before(world: &ClockFixture) {
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

/// A deadline that has passed is no reason to wait.
pub async fn a_passed_deadline_does_not_park(world: &ClockFixture) {
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

/// A deadline at the far end of time is waited for, and giving up on it is fine.
pub async fn a_far_deadline_parks(world: &ClockFixture) {
    for deadline in [
        Deadline::At(Timestamp(i64::MAX)),
        Deadline::Awake(AwakeTime(i64::MAX)),
        Deadline::At(world.clock.now().plus(Duration::from_secs(86_400 * 365))),
    ] {
        let sleep = world.clock.sleep_until(deadline);
        assert!(tokio::time::timeout(Duration::from_millis(50), sleep).await.is_err());
    }
}

/// Many sleep at once, and each wakes by its own deadline.
pub async fn many_sleep_at_once(world: &ClockFixture) {
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

/// Runs every rule for clocks, one test each.
///
/// Takes a function that opens a [`ClockFixture`].
#[macro_export]
macro_rules! clock_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, clock,
            time_never_goes_back
            time_passes
            the_wall_shows_the_time_of_day
            a_sleeper_wakes_at_its_deadline_and_not_before
            a_passed_deadline_does_not_park
            a_far_deadline_parks
            many_sleep_at_once
        }
    };
}
