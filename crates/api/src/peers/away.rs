//! Nodes that cannot be asked.

use crate::fault::Fault;
use longhaul_domain::{NodeId, ProcessId};
use longhaul_engine::ports::PeerError;
use std::error::Error as _;

/// A node that could not be asked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Away {
    pub(crate) node: NodeId,
    /// What kept it from being asked.
    pub(crate) why: String,
}

/// What came of a question to another node.
#[derive(Clone, Debug)]
pub(crate) enum Unanswered {
    /// It was not asked, or gave no answer that counts.
    Away(Away),
    /// It answered that this cannot be.
    Refused(Fault),
}

impl Away {
    pub(crate) fn of(node: &NodeId, why: impl Into<String>) -> Self {
        Self { node: node.clone(), why: why.into() }
    }

    /// What went wrong on the way.
    pub(crate) fn by(node: &NodeId, error: &PeerError) -> Self {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            why = format!("{why}: {next}");
            cause = next.source();
        }
        Self::of(node, why)
    }

    /// The output is there, and nothing of it is here.
    pub(crate) fn output(self, id: ProcessId) -> Fault {
        let Self { node, why } = self;
        Fault::new(503, "node_unreachable", format!("the output of {} is on node {node}", id.short()))
            .because(why)
            .help(format!("ask there, or again when `longhaul nodes` shows {node} here"))
    }

    /// The input is read there. Whether it was taken is not known if it had been sent before the answer was lost.
    pub(crate) fn input(self, id: ProcessId) -> Fault {
        let Self { node, why } = self;
        Fault::new(503, "node_unreachable", format!("{} reads its input on node {node}", id.short()))
            .because(why)
            .help("input is never kept for later; if it was sent, it may have been taken: look at the output")
    }
}
