//! Finds progress that programs print: bars, counters, the terminal escape sequence OSC 9;4, and lines of JSON.

mod format;
mod line_states;
mod progress_lines;
mod tracker;

pub use format::{ProgressFormat, ProgressPatternError};
pub use progress_lines::{ProgressLine, ProgressLines};
pub use tracker::{ProgressParser, ProgressUpdate};
