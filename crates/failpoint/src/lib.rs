//! Points beside durable steps at which the tests of longhaul let a program die, fail, break or dawdle.
//!
//! They exist only where debug assertions do: in a release build the macros of this crate stand for nothing, the names of
//! points are in no program, and the variables are not read. The crate has no dependencies and keeps no list: a point is a
//! line of code with a name, and the sweep of crash points finds all of them in the sources.
//!
//! # Arming
//! `LONGHAUL_FAILPOINTS` holds `NAME=ACTION@N`, separated by commas: what happens when the point is passed for the N-th
//! time, or each time with `@*`; the first time if nothing is said. Actions are `kill` (SIGKILL to itself), `eio` and
//! `enospc` (the step fails so, at points that can fail), `panic`, and `delay:MILLISECONDS`.
//!
//! `LONGHAUL_FAILPOINTS_SEEN` names a file to which each pass adds a line, and without which nothing is armed. Passes are
//! counted over all programs that share it, so that of many supervisors one dies, and the next manager goes on.

#[cfg(debug_assertions)]
mod armed;

#[cfg(debug_assertions)]
#[doc(hidden)]
pub use armed::pass;

use std::ffi::OsString;

/// A point that can fail: an `io::Result<()>`, to be put right before the step that it stands for.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        $crate::pass($name)
    };
}

/// A point that can fail: an `io::Result<()>`, to be put right before the step that it stands for.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        ::std::io::Result::Ok(())
    };
}

/// A point where nothing can fail, but a program may die, break or dawdle.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! crashpoint {
    ($name:expr) => {
        ::core::mem::drop($crate::pass($name))
    };
}

/// A point where nothing can fail, but a program may die, break or dawdle.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! crashpoint {
    ($name:expr) => {};
}

/// The variables that arm points; none in a release build.
#[cfg(debug_assertions)]
pub const VARIABLES: &[&str] = &[armed::POINTS, armed::SEEN];
/// The variables that arm points; none in a release build.
#[cfg(not(debug_assertions))]
pub const VARIABLES: &[&str] = &[];

/// What a program has to hand on to one that it starts with an environment of its own.
pub fn variables() -> impl Iterator<Item = (&'static str, OsString)> {
    VARIABLES.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value)))
}
