//! Converts stored processes to the views that clients get, with live data from the engine.

use crate::convert::moment::rfc3339;
use crate::convert::process::{BlockedBy, ProcessContext, basic_view, output_at_end};
use crate::peers::elsewhere;
use futures_util::{StreamExt, stream};
use longhaul_domain::{Pending, Placement, Policy, State};
use longhaul_engine::ports::{AttemptKey, OutputError, StoredProcess};
use longhaul_engine::{EligibleNodes, Engine, EngineError};
use longhaul_wire::api::ProcessView;

/// Maximum number of processes whose live data is read in parallel.
const MAX_CONCURRENT: usize = 16;

/// Level of detail of a process view: the live data that it contains in addition to the stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailLevel {
    /// The record, the reason why a pending process is waiting, and the time since the last output of a running
    /// process.
    Records,
    /// In addition to `Records`: the ports on which the command and its descendants listen.
    Ports,
    /// In addition to `Ports`: the resource usage.
    Usage,
}

/// Returns the current view of one process. The view has the condition `output_removed` if the output was removed.
pub async fn view(engine: &Engine, stored: &StoredProcess, depth: DetailLevel) -> ProcessView {
    let waits = WaitReasons::of(engine, std::slice::from_ref(stored)).await;
    let mut view = look(engine, stored, depth, &waits).await;
    // Only the node that stores the output can detect whether it was removed.
    if elsewhere(engine, stored, stored.process.attempt).await.is_none()
        && output_is_gone(engine, stored).await
    {
        view.conditions.push("output_removed".to_owned());
        view.log_path = None;
    }
    view
}

/// Returns true if the latest attempt wrote output that is no longer stored.
pub async fn output_is_gone(engine: &Engine, stored: &StoredProcess) -> bool {
    if output_at_end(stored) == 0 {
        return false;
    }
    let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
    match engine.output_size(key).await {
        // The attempt wrote output, so an empty log means that the output was removed.
        Ok(size) => size.end == 0,
        Err(error) => matches!(error, EngineError::Output { source: OutputError::Missing { .. } }),
    }
}

/// Returns the current views of several processes, in the order of `all`.
pub async fn views(engine: &Engine, all: &[StoredProcess], depth: DetailLevel) -> Vec<ProcessView> {
    let waits = WaitReasons::of(engine, all).await;
    let looks: Vec<_> = all.iter().map(|stored| look(engine, stored, depth, &waits)).collect();
    let mut views: Vec<ProcessView> = stream::iter(looks).buffered(MAX_CONCURRENT).collect().await;
    // The views in a list stay short. Only the view of a single process has all lines of the error.
    for error in views.iter_mut().filter_map(|view| view.first_error.as_mut()) {
        error.detail = None;
    }
    views
}

/// Builds the view of one process. If live data cannot be read, the view leaves it out, so that the record is always
/// shown.
async fn look(
    engine: &Engine,
    stored: &StoredProcess,
    depth: DetailLevel,
    waits: &WaitReasons,
) -> ProcessView {
    let process = &stored.process;
    let key = AttemptKey { id: process.id, attempt: process.attempt };
    let has_output = process.spec.command().is_some() && process.attempt.0 > 0;
    let elsewhere = elsewhere(engine, stored, process.attempt).await;
    let usage = match (depth, process.state.execution()) {
        (DetailLevel::Usage, Some(_)) => engine.usage(process.id).await.unwrap_or_default(),
        (DetailLevel::Usage, None) | (DetailLevel::Records | DetailLevel::Ports, _) => None,
    };
    let (silent_for, listening, members) = match (depth, process.state.execution()) {
        (DetailLevel::Ports | DetailLevel::Usage, Some(_)) => {
            let look = engine.look(process.id).await.unwrap_or_default();
            look.map_or((None, None, None), |look| (Some(look.silent_for), look.listening, look.members))
        }
        (DetailLevel::Ports | DetailLevel::Usage, None) | (DetailLevel::Records, _) => {
            (engine.silent_for(stored).await, None, None)
        }
    };
    let around = ProcessContext {
        now: engine.now(),
        log_path: (has_output && elsewhere.is_none()).then(|| engine.output_place(key).0),
        hindrance: waits.hindrance(engine, stored),
        written: engine.written(stored).await,
        usage,
        silent_for,
        listening,
        elsewhere,
        members,
    };
    let mut view = basic_view(stored, around);
    if engine.unreachable_since(stored).is_some() {
        view.conditions.push("unreachable".to_owned());
    }
    if engine.is_unexamined(stored) {
        view.conditions.push("recovery_pending".to_owned());
    }
    if engine.is_orphaned(stored) {
        view.conditions.push("orphaned".to_owned());
    }
    if engine.is_local_only(process.id) {
        view.conditions.push("local_only".to_owned());
    } else if let Some(since) = engine.away_since() {
        view.conditions.push("stale".to_owned());
        view.stale_since = Some(rfc3339(since));
    }
    view
}

/// Data that explains why queued processes are waiting. It is read once for all processes of a list.
struct WaitReasons {
    /// Policy, including the queues on hold. `None` if no queued process has a concurrency key, or if the policy cannot
    /// be read.
    policy: Option<Policy>,
    /// Nodes that can run processes. `None` if no queued process has a placement that names another node or labels,
    /// or if the nodes cannot be read.
    runners: Option<EligibleNodes>,
}

impl WaitReasons {
    async fn of(engine: &Engine, all: &[StoredProcess]) -> Self {
        let waits_for =
            |what: &dyn Fn(&StoredProcess) -> bool| all.iter().any(|each| is_queued(each) && what(each));
        let may_be_held = waits_for(&|stored| stored.process.spec.key.is_some());
        let may_lack_a_node = waits_for(&|stored| is_bound_elsewhere(engine, stored));
        Self {
            policy: if may_be_held { engine.policy().await.ok() } else { None },
            runners: if may_lack_a_node { engine.runners().await.ok() } else { None },
        }
    }

    fn hindrance(&self, engine: &Engine, stored: &StoredProcess) -> BlockedBy {
        if !is_queued(stored) {
            return BlockedBy::None;
        }
        let spec = &stored.process.spec;
        let runners = self.runners.as_ref().filter(|_| is_bound_elsewhere(engine, stored));
        if let Some(draining) = runners.and_then(|runners| runners.unavailable(&spec.placement)) {
            return BlockedBy::NoNode { draining };
        }
        let hold = spec.key.as_ref().and_then(|key| self.policy.as_ref()?.held.get(key));
        match (hold, engine.starts_blocked_until(stored)) {
            (Some(hold), _) => BlockedBy::Held(hold.clone()),
            (None, Some(until)) => BlockedBy::Settling { until },
            (None, None) => BlockedBy::None,
        }
    }
}

fn is_bound_elsewhere(engine: &Engine, stored: &StoredProcess) -> bool {
    match &stored.process.spec.placement {
        Placement::Here | Placement::Anywhere => false,
        Placement::Node(node) => node != engine.node(),
        Placement::Labels(_) => true,
    }
}

const fn is_queued(stored: &StoredProcess) -> bool {
    matches!(stored.process.state, State::Pending(Pending::Queued))
}
