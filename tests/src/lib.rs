//! What the tests of the whole product share: a home of its own for a manager, and honest waiting.

mod home;
mod proc;

pub use home::{Answer, Home, program};
pub use proc::{Stat, descendants, is_alive, kill, stat, ticks};

use std::time::{Duration, Instant};

/// Looks again and again until something is so; panics with `what` when a generous time is over.
///
/// # Panics
/// When it does not come true within 20 s.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(20), what, look)
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
