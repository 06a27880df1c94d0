//! Progress that programs print: bars, counters, and the terminal escape sequence OSC 9;4.

mod format;
mod line_states;
mod tracker;

pub use format::{ProgressFormat, ProgressPatternError};
pub use tracker::{ProgressParser, ProgressUpdate};
