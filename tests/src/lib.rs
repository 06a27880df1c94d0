//! Parts that several tests of the whole product share: state directories, servers, random choices, findings, and
//! polling with a deadline.

pub mod ask;
mod chance;
mod findings;
mod home;
mod owner;
mod points;
mod proc;
mod redis;
mod wanted;
mod watch;

pub use chance::{Chance, fresh_seed};
pub use findings::Findings;
pub use home::{Answer, GATED, Home, program};
pub use owner::{Owner, USER};
pub use points::{Point, points, points_in};
pub use proc::{Stat, descendants, is_alive, kill, kill_together, stat, ticks};
pub use redis::{Keeps, Redis};
pub use wanted::wanted;
pub use watch::{Call, CallKind, Fate, Program, may_watch, spawn_watched};

use std::time::{Duration, Instant};

/// Calls `look` repeatedly until it returns a value, for at most 20 s.
///
/// # Panics
/// If `look` returns no value in time. The message contains `what`.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(20), what, look)
}

/// Measures a duration up to three times, until one duration is within the promised bound.
///
/// One of three tries suffices, because other load on the machine can only make the product slower.
///
/// # Panics
/// If all three durations exceed `bound`.
#[expect(clippy::panic, reason = "a test that waits in vain has failed")]
pub fn best_of_three(bound: Duration, what: &str, mut measure: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 3 {
        let span = measure();
        if span <= bound {
            return;
        }
        took.push(span);
    }
    panic!("not within {bound:?}: {what}, but {took:?}");
}

/// Calls `look` repeatedly until it returns a value, for at most the promised time `bound`.
///
/// # Panics
/// If `look` returns no value within `bound`.
#[expect(clippy::panic, reason = "a test that waits in vain has failed")]
pub fn within<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if begin.elapsed() > bound {
            panic!("not within {bound:?}: {what}");
        }
        // Poll every 10 ms, because the condition lies outside this process and nothing can notify the test.
        std::thread::sleep(Duration::from_millis(10));
    }
}
