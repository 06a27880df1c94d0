//! Progress that programs print: bars, counters, and the escape sequence for terminals (OSC 9;4).

mod format;
mod line_states;
mod tracker;

pub use format::{ProgressFormat, ProgressPatternError};
pub use tracker::{ProgressParser, ProgressUpdate};
