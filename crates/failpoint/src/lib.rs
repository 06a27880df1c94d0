//! Failpoints: named points next to durable steps, at which tests can kill, fail, panic or delay a program.
//!
//! Failpoints exist only with debug assertions. In a release build the macros expand to nothing, the binary contains no
//! names of failpoints, and the variables are not read. The crate has no dependencies and no list of failpoints: a
//! failpoint is a line of code with a name, and the crash tests find all of them in the sources.
//!
//! # Arming
//! `LONGHAUL_FAILPOINTS` contains rules of the form `NAME=ACTION@N`, separated by commas. A rule applies when the point
//! is passed for the N-th time, or each time with `@*`; without `@`, the first time. Actions are `kill` (SIGKILL to
//! itself), `eio` and `enospc` (the step fails with that error, at points that can fail), `panic`, and
//! `delay:MILLISECONDS`.
//!
//! `LONGHAUL_FAILPOINTS_SEEN` is the path of the pass log, to which each pass adds a line. Without it no rule is armed.
//! Passes are counted over all programs that share the file, so that only one of several shims dies.

#[cfg(debug_assertions)]
mod armed;

#[cfg(debug_assertions)]
#[doc(hidden)]
pub use armed::pass;

use std::ffi::OsString;

/// A failpoint that can fail: evaluates to an `io::Result<()>`. Place it directly before the step that it represents.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        $crate::pass($name)
    };
}

/// A failpoint that can fail: evaluates to an `io::Result<()>`. Place it directly before the step that it represents.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        ::std::io::Result::Ok(())
    };
}

/// A failpoint without an error result, at which a program can be killed, panic or be delayed.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! crashpoint {
    ($name:expr) => {
        ::core::mem::drop($crate::pass($name))
    };
}

/// A failpoint without an error result, at which a program can be killed, panic or be delayed.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! crashpoint {
    ($name:expr) => {};
}

/// Names of the variables that arm failpoints; empty in a release build.
#[cfg(debug_assertions)]
pub const VARIABLES: &[&str] = &[armed::POINTS, armed::SEEN];
/// Names of the variables that arm failpoints; empty in a release build.
#[cfg(not(debug_assertions))]
pub const VARIABLES: &[&str] = &[];

/// Returns the failpoint variables to pass to a child program that is started with its own environment.
pub fn variables() -> impl Iterator<Item = (&'static str, OsString)> {
    VARIABLES.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value)))
}
