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

/// Marks a failpoint that can inject an error: evaluates to an `io::Result<()>`. Place it directly before the step that
/// it makes fail.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        $crate::pass($name)
    };
}

/// Marks a failpoint that can inject an error: evaluates to an `io::Result<()>`. Place it directly before the step that
/// it makes fail.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        ::std::io::Result::Ok(())
    };
}

/// Marks a failpoint that returns no error: a rule can only kill, panic or delay the program there.
#[cfg(debug_assertions)]
#[macro_export]
macro_rules! crashpoint {
    ($name:expr) => {
        ::core::mem::drop($crate::pass($name))
    };
}

/// Marks a failpoint that returns no error: a rule can only kill, panic or delay the program there.
#[cfg(not(debug_assertions))]
#[macro_export]
macro_rules! crashpoint {
    ($name:expr) => {};
}

/// Names of the environment variables that arm failpoints; empty in a release build.
#[cfg(debug_assertions)]
pub const VARIABLES: &[&str] = &[armed::POINTS, armed::SEEN];
/// Names of the environment variables that arm failpoints; empty in a release build.
#[cfg(not(debug_assertions))]
pub const VARIABLES: &[&str] = &[];

/// Returns the environment variables that arm failpoints, with their values. A child program that does not inherit the
/// environment must receive them explicitly.
pub fn variables() -> impl Iterator<Item = (&'static str, OsString)> {
    VARIABLES.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value)))
}
