//! Conditions that must hold after some time without faults.

use crate::oracle::{Life, Oracle};
use crate::world::World;
use longhaul_domain::{Pending, ProcessId, SlotState, State, StopCause, Timestamp};
use longhaul_engine::ports::Clock;

impl World {
    /// Checks that no process waits for work that should have been done.
    pub(crate) fn check_settled(&self) {
        let nodes = self.nodes.len();
        self.shared_state.with(|oracle| {
            let now = oracle.clock.now();
            let mut left: Vec<String> = Vec::new();
            for life in oracle.lives.values() {
                let what = undone(oracle, life, now, nodes);
                left.extend(what.map(|what| format!("settled: p{} {what}", life.number)));
            }
            for what in left {
                oracle.violated(what);
            }
        });
        self.check_nothing_lost();
    }

    /// Checks that all processes have ended, that no slot is taken, and that no child process is running.
    pub(crate) fn check_over(&self) {
        let lines = self.shared_state.store.lines();
        self.shared_state.with(|oracle| {
            let live: Vec<_> =
                oracle.lives.values().filter(|life| !life.has_ended()).map(|life| life.number).collect();
            if !live.is_empty() {
                oracle.violated(format_args!("at the end: p{live:?} are still live"));
            }
            if !lines.is_empty() {
                oracle.violated(format_args!("at the end: slots or places are still taken: {lines:?}"));
            }
        });
        for node in &self.nodes {
            let mut live = node.spawner.live();
            // Ignore commands whose process was interrupted when its node was lost: they may run to their end on that
            // node.
            self.shared_state.with(|oracle| live.retain(|key| !oracle.lost.contains(key)));
            if !live.is_empty() {
                self.shared_state
                    .with(|oracle| oracle.violated(format_args!("at the end: {live:?} are still running")));
            }
        }
        self.check_nothing_lost();
    }

    fn check_nothing_lost(&self) {
        let kept = |id: &ProcessId| self.shared_state.store.present(*id);
        self.shared_state.with(|oracle| {
            let wrong: Vec<String> = oracle
                .lives
                .iter()
                .filter(|(id, life)| {
                    !life.swept && kept(id).is_none_or(|stored| stored.process != life.process)
                })
                .map(|(_, life)| format!("the record of p{} differs from its events", life.number))
                .collect();
            for what in wrong {
                oracle.violated(what);
            }
        });
    }
}

/// Returns a description of what should have happened to a process by now, or `None` if nothing is overdue.
fn undone(oracle: &Oracle, life: &Life, now: Timestamp, nodes: usize) -> Option<String> {
    let process = &life.process;
    let above = || process.lineage.ancestors.iter().filter_map(|id| oracle.lives.get(id));
    if life.has_ended() {
        let spared = |other: &Life| !other.has_ended() && is_spared(life, other);
        let waits = oracle.lives.values().any(spared);
        return (process.cascade.is_some() && !waits)
            .then(|| "is still cancelling its descendants".to_owned());
    }
    if oracle.must_end.contains(&process.id) {
        return Some(format!("was cancelled and is {:?}", process.state));
    }
    // A cancelled process may wait for descendants that belong to another session and were therefore not cancelled.
    let waits_for_spared = |top: &Life| {
        let spared = |other: &Life| !other.has_ended() && is_spared(top, other);
        matches!(top.process.state, State::AwaitingChildren(_)) && oracle.lives.values().any(spared)
    };
    let reported = |top: &&Life| {
        let itself = top.process.id == life.process.id;
        top.terminated && !is_spared(top, life) && !(itself && waits_for_spared(top))
    };
    if let Some(reported) = std::iter::once(life).chain(above()).find(reported) {
        return Some(format!("is live although p{} was cancelled with all its descendants", reported.number));
    }
    if process.session_deadline().is_some_and(|by| by < now) {
        return Some("was not cancelled with its session".to_owned());
    }
    match &process.state {
        State::Pending(Pending::Queued) => idle_room(oracle, life, nodes),
        State::Pending(Pending::Delayed { until: at } | Pending::Retrying { at, .. }) => {
            (*at < now).then(|| format!("was due at {at:?} and is {:?}", process.state))
        }
        State::Starting { .. } | State::Stopping { .. } | State::CancelRequested { .. } => {
            Some(format!("makes no progress: {:?}", process.state))
        }
        State::Running { timeout_at, .. } => {
            let program = process.spec.command().map(|command| command.program.as_str());
            let finite = matches!(program, Some("exit" | "sleep" | "lost" | "echo"));
            (finite || timeout_at.is_some()).then(|| "has an end that was not observed".to_owned())
        }
        State::AwaitingChildren(_) => {
            let below =
                |other: &&Life| !other.has_ended() && other.process.lineage.ancestors.contains(&process.id);
            let waits = oracle.lives.values().find(below).is_some();
            (!waits).then(|| "waits for no other process".to_owned())
        }
        State::Reported { .. } => {
            let beats = process.heartbeat_due(None).is_some();
            beats.then(|| "sends no heartbeat and is still running".to_owned())
        }
        State::Paused { .. } | State::Ended(_) => None,
    }
}

/// Returns true if the cancellation of `top` at the end of its session does not cancel its descendant `below`, because
/// `below` belongs to another session.
fn is_spared(top: &Life, below: &Life) -> bool {
    let by_session = top.process.cascade.is_some_and(|cascade| cascade.cause == StopCause::Session);
    let theirs = &below.process.spec.session;
    by_session
        && below.process.lineage.ancestors.contains(&top.process.id)
        && theirs.is_some()
        && *theirs != top.process.spec.session
}

/// Returns a description of the problem if a process is waiting although it could start.
fn idle_room(oracle: &Oracle, life: &Life, nodes: usize) -> Option<String> {
    if let Some(key) = life.key() {
        let slots =
            oracle.policy.slots_of(key).map_or(usize::MAX, |slots| usize::try_from(slots).unwrap_or(0));
        if oracle.policy.held.contains_key(key) || oracle.holders(key) >= slots {
            return None;
        }
    }
    let roots = usize::try_from(oracle.roots).unwrap_or(usize::MAX);
    let busy = |life: &&Life| life.is_root() && life.standing() == SlotState::Holding && life.owner.is_some();
    let here = |other: &&Life| match &life.process.spec.placement {
        longhaul_domain::Placement::Node(node) => other.owner.as_ref() == Some(node),
        longhaul_domain::Placement::Here
        | longhaul_domain::Placement::Labels(_)
        | longhaul_domain::Placement::Anywhere => true,
    };
    let limit = match &life.process.spec.placement {
        longhaul_domain::Placement::Node(_) => roots,
        longhaul_domain::Placement::Here
        | longhaul_domain::Placement::Labels(_)
        | longhaul_domain::Placement::Anywhere => roots.saturating_mul(nodes),
    };
    let full = life.is_root() && oracle.lives.values().filter(busy).filter(here).count() >= limit;
    (!full).then(|| "waits although it could run".to_owned())
}
