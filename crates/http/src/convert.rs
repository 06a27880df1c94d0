//! Between what clients say and what the engine understands.

mod command;
mod launch;
mod moment;
mod process;
mod reason;

pub use command::LaunchDefaults;
pub(crate) use launch::{json_text, launch};
pub(crate) use moment::{moment, rfc3339};
pub(crate) use process::{note, view};
