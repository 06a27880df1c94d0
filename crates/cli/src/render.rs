//! Formats processes, queues, nodes and events as text.

mod amount;
mod artifacts;
mod detail;
mod event;
mod grid;
mod line;
mod moment;
mod node;
mod queue;
mod report;
mod session;
mod stats;
mod table;
mod test_diff;
mod test_run;
mod tree;

pub(crate) use amount::bytes;
pub(crate) use artifacts::{artifact_notes, artifacts};
pub(crate) use detail::{detail, has_failed_tests};
pub(crate) use event::{batch_line, event_line};
pub(crate) use line::{ended_line, label, short, waiting_line};
pub(crate) use moment::{RenderTime, moment_of_millis};
pub(crate) use node::nodes;
pub(crate) use queue::{queues, why};
pub(crate) use report::{ProcessReport, ReportStep};
pub(crate) use session::sessions;
pub(crate) use stats::stats;
pub(crate) use table::{TableFormat, summary, table};
pub(crate) use test_diff::test_diff;
pub(crate) use test_run::{FailureDetail, TestRunText, test_run, test_table};
pub(crate) use tree::tree;

#[cfg(test)]
pub(crate) mod samples;
