//! Determines why a process is waiting, from the same facts that a claim uses.

use crate::cascade::LIVE;
use crate::eligible_nodes::fits_any;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{
    Ending, Level, NodeId, Pending, Placement, Process, ProcessId, QueueHold, SlotKey, State, Status,
    Timestamp,
};
use longhaul_ports::{KnownNode, ProcessFilter, QueueState, StoredProcess};

/// Maximum number of waiting processes in one request.
const CHUNK: usize = 500;

/// Reason why a process is waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The process is not waiting.
    NotWaiting {
        /// Current status of the process.
        status: Status,
    },
    /// The process is waiting for a slot of its concurrency key, or for the processes ahead of it.
    Queued {
        /// The concurrency key; `None` for the queue of processes without a key.
        key: Option<SlotKey>,
        /// Position among the processes of the queue that could start; 1 means next.
        position: u32,
        /// Number of processes ahead in the queue.
        ahead: u32,
        /// Number of slots of the concurrency key; `None` means no limit.
        slots: Option<u32>,
        /// The processes that hold the slots of the key.
        holders: Vec<ProcessId>,
        /// True if every slot is held by an ancestor of a process that is waiting for a slot of this key. If each of
        /// these ancestors is waiting for its child, the processes are in a deadlock until the limit is raised or one
        /// of the ancestors ends.
        stalled: bool,
    },
    /// The queue of the process is on hold.
    Held {
        /// Concurrency key of the queue that is on hold.
        key: SlotKey,
        /// Start time and author of the hold.
        hold: QueueHold,
        /// Position after the queue is released; 1 means next.
        position: u32,
    },
    /// The key has a free slot, but the node already runs its maximum number of roots.
    NodeFull {
        /// Maximum number of roots that the node runs at the same time.
        limit: u32,
        /// The roots that the node runs.
        holders: Vec<ProcessId>,
        /// Position in the queue of the key; 1 means next.
        position: u32,
    },
    /// The store had lost data. The node starts nothing new until all nodes have had time to restore their records.
    Settling {
        /// Time at which the node may start processes again.
        until: Timestamp,
        /// Position in the queue of the key; 1 means next.
        position: u32,
    },
    /// The process is waiting for the start time that its launch specified.
    Delayed {
        /// The start time that the launch specified.
        until: Timestamp,
    },
    /// The process is waiting for its next attempt.
    Retrying {
        /// Number of the next attempt: 2, 3, …
        attempt: u32,
        /// Time at which the next attempt is due.
        at: Timestamp,
        /// How the last attempt ended.
        after: Ending,
    },
    /// No present node fits the placement of the process.
    NoNode {
        /// The placement of the process.
        placement: Placement,
        /// Present nodes that fit the placement but are draining.
        draining: Vec<NodeId>,
    },
}

impl Engine {
    /// Returns the time until which this node starts no processes because the store had lost data. Returns `None` if no
    /// such time applies or this node cannot run the process.
    #[must_use]
    pub fn starts_blocked_until(&self, stored: &StoredProcess) -> Option<Timestamp> {
        self.core.starts_blocked_until(&stored.process)
    }

    /// Returns the reason why a process is waiting now.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn why(&self, id: ProcessId) -> Result<WaitReason, EngineError> {
        let stored = self.process(id).await?;
        match &stored.process.state {
            State::Pending(Pending::Queued) => self.core.why_queued(&stored).await,
            State::Pending(Pending::Delayed { until }) => Ok(WaitReason::Delayed { until: *until }),
            State::Pending(Pending::Retrying { at, after }) => Ok(WaitReason::Retrying {
                attempt: stored.process.attempt.next().0,
                at: *at,
                after: after.as_ref().clone(),
            }),
            State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Ok(WaitReason::NotWaiting { status: stored.process.status() }),
        }
    }
}

impl EngineShared {
    async fn why_queued(&self, stored: &StoredProcess) -> Result<WaitReason, EngineError> {
        let spec = &stored.process.spec;
        let runners = self.runners().await?;
        if let Some(draining) = runners.unavailable(&spec.placement) {
            return Ok(WaitReason::NoNode { placement: spec.placement.clone(), draining });
        }
        let roots = self.roots_held().await?;
        let slot_users =
            SlotUsers { node: self.here(), nodes: &runners.nodes, full: self.is_full(roots.len()) };
        let Some(queue) = self.queue_of(&stored.process).await? else {
            // The process was claimed after its record was loaded.
            return Ok(WaitReason::NotWaiting {
                status: self.load(stored.process.id).await?.process.status(),
            });
        };
        let ahead = self.ahead_of(stored, &queue, &slot_users).await?;
        let position = ahead.saturating_add(1);
        if let (Some(key), Some(hold)) = (&queue.key, &queue.held) {
            return Ok(WaitReason::Held { key: key.clone(), hold: hold.clone(), position });
        }
        if let Some(until) = self.starts_blocked_until(&stored.process) {
            return Ok(WaitReason::Settling { until, position });
        }
        let is_open = queue.slots.is_none_or(|slots| count(queue.holders.len()) < slots);
        if is_open && slot_users.lacks_root_slot(stored) {
            return Ok(WaitReason::NodeFull { limit: self.settings.max_parallel, holders: roots, position });
        }
        Ok(WaitReason::Queued {
            stalled: !is_open && self.is_stalled(&queue).await?,
            key: queue.key,
            position,
            ahead,
            slots: queue.slots,
            holders: queue.holders,
        })
    }

    /// Returns the time until which this node starts no processes because the store had lost data. Returns `None` if no
    /// such time applies or this node may not run the process.
    pub(crate) fn starts_blocked_until(&self, process: &Process) -> Option<Timestamp> {
        self.lease_state.held_until(self.parts.clock.now()).filter(|_| self.may_run(process))
    }

    /// Returns the roots that this node runs, in the order of submission.
    async fn roots_held(&self) -> Result<Vec<ProcessId>, EngineError> {
        if self.settings.max_parallel == 0 {
            return Ok(Vec::new());
        }
        let filter = ProcessFilter {
            statuses: LIVE.to_vec(),
            owner: Some(self.here().clone()),
            level: Some(Level(0)),
            ..ProcessFilter::default()
        };
        Ok(self.all(&filter).await?.into_iter().map(|stored| stored.process.id).collect())
    }

    fn is_full(&self, roots: usize) -> bool {
        count(roots) >= self.settings.roots()
    }

    /// Returns the number of waiting processes that are ahead in the queue, not counting processes that cannot start
    /// now.
    async fn ahead_of(
        &self,
        stored: &StoredProcess,
        queue: &QueueState,
        slot_users: &SlotUsers<'_>,
    ) -> Result<u32, EngineError> {
        let before: Vec<ProcessId> =
            queue.waiters.iter().copied().take_while(|waiter| *waiter != stored.process.id).collect();
        let mut ahead: u32 = 0;
        for chunk in before.chunks(CHUNK) {
            for waiter in self.parts.store.load_each(chunk).await?.into_iter().flatten().flatten() {
                let passed = !fits_any(&waiter.process.spec.placement, slot_users.nodes)
                    || (slot_users.lacks_root_slot(&waiter) && !slot_users.lacks_root_slot(stored));
                ahead = ahead.saturating_add(u32::from(!passed));
            }
        }
        Ok(ahead)
    }

    /// Returns true if every slot holder is an ancestor of a process that is waiting for a slot of the same key.
    async fn is_stalled(&self, queue: &QueueState) -> Result<bool, EngineError> {
        for holder in &queue.holders {
            let filter = ProcessFilter {
                statuses: vec![Status::Pending],
                ancestor: Some(*holder),
                key: queue.key.clone(),
                ..ProcessFilter::default()
            };
            let mut below = self.all(&filter).await?.into_iter();
            if !below.any(|stored| matches!(stored.process.state, State::Pending(Pending::Queued))) {
                return Ok(false);
            }
        }
        Ok(!queue.holders.is_empty())
    }
}

/// The present nodes, and the free root slots of this node.
struct SlotUsers<'a> {
    node: &'a NodeId,
    nodes: &'a [KnownNode],
    /// True if this node runs its maximum number of roots.
    full: bool,
}

impl SlotUsers<'_> {
    /// Returns true if a root can run only on this node and this node has no free root slot. This node does not know
    /// the root slots of other nodes.
    fn lacks_root_slot(&self, stored: &StoredProcess) -> bool {
        let only_here = match &stored.process.spec.placement {
            Placement::Node(node) => node == self.node,
            Placement::Anywhere | Placement::Here => self.nodes.len() == 1,
            placement @ Placement::Labels(_) => {
                let mut fit = self.nodes.iter().filter(|known| known.fits(placement));
                fit.next().is_some_and(|first| first.facts.id == *self.node) && fit.next().is_none()
            }
        };
        self.full && only_here && stored.process.lineage.ancestors.is_empty()
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};
    use longhaul_domain::{Capability, Epoch, Lineage, Spec};
    use longhaul_ports::{NodeAdvertisement, NodeDescriptor, Presence};

    fn known(name: &str, label: &str) -> KnownNode {
        KnownNode {
            facts: NodeDescriptor {
                id: NodeId::new(name).unwrap(),
                home: None,
                boot: "b".to_owned(),
                version: "0".to_owned(),
            },
            epoch: Epoch(1),
            offer: NodeAdvertisement {
                labels: [Capability::new(label).unwrap()].into(),
                ..NodeAdvertisement::default()
            },
            presence: Presence::Left,
            draining: false,
        }
    }

    #[test]
    fn root_lacks_a_slot_where_only_a_full_node_can_run_it() {
        let here = NodeId::new("a").unwrap();
        let (alone, two) = ([known("a", "gpu")], [known("a", "gpu"), known("b", "big")]);
        let twins = [known("a", "gpu"), known("b", "gpu")];
        let lacks = |nodes: &[KnownNode], placement: &Placement, full| {
            let stored = waiting(1, Spec { placement: placement.clone(), ..command() });
            SlotUsers { node: &here, nodes, full }.lacks_root_slot(&stored)
        };
        let label = |label: &str| Placement::Labels(vec![Capability::new(label).unwrap()]);
        let node = |name: &str| Placement::Node(NodeId::new(name).unwrap());
        assert!(lacks(&two, &node("a"), true) && !lacks(&two, &node("b"), true));
        assert!(!lacks(&two, &node("a"), false));
        assert!(lacks(&alone, &Placement::Anywhere, true) && !lacks(&two, &Placement::Anywhere, true));
        assert!(lacks(&two, &label("gpu"), true));
        assert!(!lacks(&two, &label("big"), true), "another node can run it");
        assert!(!lacks(&twins, &label("gpu"), true), "two nodes can run it");
        let mut child = waiting(2, command());
        child.process.lineage = Lineage { ancestors: vec![child.process.id], ..Lineage::default() };
        assert!(!SlotUsers { node: &here, nodes: &alone, full: true }.lacks_root_slot(&child));
    }
}
