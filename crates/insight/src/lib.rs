//! Pure functions that extract facts about a command from its output and from the reports that it writes.
//!
//! - [`agent_output`]: the last message of an agent, its tokens and its current step.
//! - [`failure`]: the first error of a failed command.
//! - [`progress`]: progress that the command prints.
//! - [`test_run`]: test results.
//!
//! Output and reports come from unverified programs: they may be truncated, huge, hostile or wrong. Every parser in
//! this crate accepts arbitrary bytes, takes linear time, uses a bounded amount of memory, and reports only what a line
//! states. The crate performs no I/O and reads no clock.

pub mod agent_output;
mod bounded_lines;
mod bounded_text;
pub mod failure;
mod json_lines;
pub mod progress;
pub mod test_run;

pub use bounded_lines::{BoundedLines, Line, MAX_LINE_LEN};
