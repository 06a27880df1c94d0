//! Processes as people and programs read them.

mod amount;
mod detail;
mod line;
mod moment;
mod table;

pub(crate) use amount::bytes;
pub(crate) use detail::detail;
pub(crate) use line::{ended_line, label, short, waiting_line};
pub(crate) use moment::{Now, moment_of_millis};
pub(crate) use table::{Look, summary, table};

#[cfg(test)]
pub(crate) mod samples;
