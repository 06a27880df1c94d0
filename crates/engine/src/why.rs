//! Why a process waits: the same facts that a claim goes by, told instead of used.

use crate::cascade::LIVE;
use crate::eligible_nodes::fits_any;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{
    Ending, Level, NodeId, Pending, Placement, Process, ProcessId, QueueHold, SlotKey, State, Status,
    Timestamp,
};
use longhaul_ports::{KnownNode, ProcessFilter, QueueState, StoredProcess};

/// So many waiters are looked at in one call.
const CHUNK: usize = 500;

/// Why a process waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It does not wait.
    NotWaiting {
        /// Where it stands.
        status: Status,
    },
    /// For a slot of its key, or for those ahead of it.
    Queued {
        /// The key; none is the queue of processes without one.
        key: Option<SlotKey>,
        /// Its place among those of its key that may go; 1 is next.
        position: u32,
        /// How many of them are ahead.
        ahead: u32,
        /// The slots of the key; none means no limit.
        slots: Option<u32>,
        /// Who holds them.
        holders: Vec<ProcessId>,
        /// Every slot is held by an ancestor of somebody who waits for one: if each waits for its child, nothing moves
        /// until a limit is raised or one of them ends.
        stalled: bool,
    },
    /// Its queue is held back.
    Held {
        /// The key.
        key: SlotKey,
        /// Since when and by whom.
        hold: QueueHold,
        /// Its place once it goes on; 1 is next.
        position: u32,
    },
    /// Its key has room, its node has not.
    NodeFull {
        /// The most roots that its node runs at once.
        limit: u32,
        /// Those that it runs.
        holders: Vec<ProcessId>,
        /// Its place among those of its key; 1 is next.
        position: u32,
    },
    /// The store had lost something: its node starts nothing new until all had the time to give it back.
    Settling {
        /// Until when.
        until: Timestamp,
        /// Its place among those of its key; 1 is next.
        position: u32,
    },
    /// For a moment that was chosen at its launch.
    Delayed {
        /// That moment.
        until: Timestamp,
    },
    /// For its next attempt.
    Retrying {
        /// The next attempt: 2, 3, …
        attempt: u32,
        /// When it is due.
        at: Timestamp,
        /// How the last one ended.
        after: Ending,
    },
    /// No node may run it.
    NoNode {
        /// Which would.
        placement: Placement,
        /// Those that are there and would, if they did not drain.
        draining: Vec<NodeId>,
    },
}

impl Engine {
    /// Until when nothing new is started for want of what the store had lost; none of what does not wait for this node.
    #[must_use]
    pub fn settles_until(&self, stored: &StoredProcess) -> Option<Timestamp> {
        self.core.settles_until(&stored.process)
    }

    /// Why a process waits, as of now.
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
            | State::Withdrawing { .. }
            | State::Lingering(_)
            | State::Ended(_) => Ok(WaitReason::NotWaiting { status: stored.process.status() }),
        }
    }
}

impl EngineShared {
    async fn why_queued(&self, stored: &StoredProcess) -> Result<WaitReason, EngineError> {
        let spec = &stored.process.spec;
        let runners = self.runners().await?;
        if let Some(draining) = runners.lacking(&spec.placement) {
            return Ok(WaitReason::NoNode { placement: spec.placement.clone(), draining });
        }
        let roots = self.roots_held().await?;
        let crowd = SlotUsers { node: self.here(), nodes: &runners.nodes, full: self.is_full(roots.len()) };
        let Some(queue) = self.queue_of(&stored.process).await? else {
            // It was claimed between the two looks.
            return Ok(WaitReason::NotWaiting {
                status: self.load(stored.process.id).await?.process.status(),
            });
        };
        let ahead = self.ahead_of(stored, &queue, &crowd).await?;
        let position = ahead.saturating_add(1);
        if let (Some(key), Some(hold)) = (&queue.key, &queue.held) {
            return Ok(WaitReason::Held { key: key.clone(), hold: hold.clone(), position });
        }
        if let Some(until) = self.settles_until(&stored.process) {
            return Ok(WaitReason::Settling { until, position });
        }
        let is_open = queue.slots.is_none_or(|slots| count(queue.holders.len()) < slots);
        if is_open && crowd.shuts_out(stored) {
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

    /// Until when this node starts nothing because the store had lost something, if it is one that may run the process.
    pub(crate) fn settles_until(&self, process: &Process) -> Option<Timestamp> {
        self.tenure.held_until(self.parts.clock.now()).filter(|_| self.may_run(process))
    }

    /// The roots that this node runs, in the order of their submits.
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

    /// How many waiters of its key go before it, leaving out those that it passes.
    async fn ahead_of(
        &self,
        stored: &StoredProcess,
        queue: &QueueState,
        crowd: &SlotUsers<'_>,
    ) -> Result<u32, EngineError> {
        let before: Vec<ProcessId> =
            queue.waiters.iter().copied().take_while(|waiter| *waiter != stored.process.id).collect();
        let mut ahead: u32 = 0;
        for chunk in before.chunks(CHUNK) {
            for waiter in self.parts.store.load_each(chunk).await?.into_iter().flatten().flatten() {
                let passed = !fits_any(&waiter.process.spec.placement, crowd.nodes)
                    || (crowd.shuts_out(&waiter) && !crowd.shuts_out(stored));
                ahead = ahead.saturating_add(u32::from(!passed));
            }
        }
        Ok(ahead)
    }

    /// Whether every holder is an ancestor of somebody who waits for a slot of the same key.
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

/// Who may run what just now.
struct SlotUsers<'a> {
    node: &'a NodeId,
    nodes: &'a [KnownNode],
    /// This node runs as many roots as it may.
    full: bool,
}

impl SlotUsers<'_> {
    /// Whether a waiter cannot go because its node has no room for roots; of other nodes that is not known here.
    fn shuts_out(&self, stored: &StoredProcess) -> bool {
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
