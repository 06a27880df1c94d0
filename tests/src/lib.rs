//! What the tests of the whole product share: a home of its own for a manager, a server, what is drawn and what is found,
//! and honest waiting.

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

/// Looks again and again until something is so; panics with `what` when a generous time is over.
///
/// # Panics
/// When it does not come true within 20 s.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(20), what, look)
}

/// Measures up to three times how long something takes, until it is no longer than a time that a promise names.
///
/// The product is as fast as its best try: what else the machine does can only make one slower.
///
/// # Panics
/// When each of them takes longer.
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

/// Looks again and again until something is so, within a time that a promise names.
///
/// # Panics
/// When it does not come true within `bound`.
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
        // The world outside has no bell for this: look a hundred times a second.
        std::thread::sleep(Duration::from_millis(10));
    }
}
