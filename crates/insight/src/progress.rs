//! Progress that programs print: bars, counters, and the escape sequence for terminals (OSC 9;4).

mod format;
mod segments;
mod tracker;

pub use format::{PatternError, ProgressFormat};
pub use tracker::{ProgressParser, ProgressUpdate};
