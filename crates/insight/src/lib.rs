//! Pure functions that find facts about a command in its output and in the reports that it writes.
//!
//! - [`failure`]: the first error of a failed command.
//! - [`progress`]: progress that the command prints.
//! - [`test_run`]: results of tests.
//!
//! Output and reports come from unverified programs: they may be truncated, huge, hostile or wrong. Every
//! parser here reads any bytes in linear time, holds a bounded amount of memory, and reports only what a line says. The
//! crate performs no I/O and reads no clock.

mod bounded_lines;
mod bounded_text;
pub mod failure;
pub mod progress;
pub mod test_run;

pub use bounded_lines::{BoundedLines, Line, MAX_LINE_LEN};
