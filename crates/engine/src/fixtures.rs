//! Records for unit tests.

use longhaul_domain::{
    AwakeTime, Capabilities, CommandSpec, DecisionContext, Epoch, Lineage, LiveStats, NodeId, Process,
    RandomBits, Revision, Seq, Spec, Timestamp, Work,
};
use longhaul_ports::{IdSource, Lease, StoredProcess};
use longhaul_testkit::fakes::SequentialIds;
use std::sync::Arc;

pub(crate) fn context() -> DecisionContext {
    DecisionContext {
        now: Timestamp(1_000),
        awake: AwakeTime(1_000),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}

pub(crate) fn command() -> Spec {
    Spec::of(Work::Command(Box::new(CommandSpec::of("run", &["fast"], "/work"))))
}

pub(crate) fn lease() -> Lease {
    Lease { node: NodeId::new("here").unwrap(), epoch: Epoch(1) }
}

/// Returns the record of a waiting process. The number determines its id and its sequence number.
pub(crate) fn waiting(number: u64, spec: Spec) -> StoredProcess {
    let id = SequentialIds::seeded(number).process();
    let (process, _) = Process::submit(&context(), id, Lineage::default(), Arc::new(spec));
    StoredProcess {
        process,
        revision: Revision(1),
        seq: Seq(number),
        owner: None,
        pending_actions: Vec::new(),
        live_stats: LiveStats::default(),
    }
}
