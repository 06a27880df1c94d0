//! Expiring leases of nodes, and other data about nodes.

use super::index::{self, Lane};
use super::store_on::LeaseTerms;
use super::transaction::StoreTransaction;
use super::values::NodeRow;
use crate::placement_class;
use longhaul_domain::{NodeId, Placement, Timestamp};
use longhaul_ports::{
    ForgetOutcome, KnownNode, Lease, NodeAdvertisement, NodeDescriptor, PlacementClass, Presence, StoreError,
    StoreRejection,
};

impl LeaseTerms {
    fn presence(self, node: &NodeRow) -> Presence {
        if node.lost {
            Presence::Lost { since: node.until }
        } else if node.left {
            Presence::Left
        } else {
            Presence::Unreachable { since: node.until, lost_at: node.until.plus(self.grace) }
        }
    }

    /// Returns the time at which a node loses its processes, unless its lease is renewed before that time.
    pub(crate) fn lost_at(self, node: &NodeRow) -> Option<Timestamp> {
        match self.presence(node) {
            Presence::Unreachable { lost_at, .. } => Some(lost_at),
            Presence::Present { .. } | Presence::Lost { .. } | Presence::Left => None,
        }
    }
}

impl StoreTransaction<'_> {
    fn presence(&self, node: &NodeRow) -> Presence {
        let Some(terms) = self.settings.terms else {
            return if node.left { Presence::Left } else { Presence::Present { until: None } };
        };
        match terms.presence(node) {
            Presence::Unreachable { since, .. } if self.now < since => {
                Presence::Present { until: Some(since) }
            }
            found @ (Presence::Present { .. }
            | Presence::Unreachable { .. }
            | Presence::Lost { .. }
            | Presence::Left) => found,
        }
    }

    /// Rejects a lease that is expired or is not the newest lease of its node.
    pub(crate) async fn check_living(&mut self, lease: &Lease) -> Result<NodeRow, StoreError> {
        let node = self.check(lease).await?;
        if self.settings.terms.is_some() && node.until <= self.now && !node.left {
            return Err(StoreError::fenced(lease));
        }
        Ok(node)
    }

    /// Rejects a registration of this node name from a different state directory while the node owns processes,
    /// because only the earlier state directory can report what happened to these processes.
    pub(crate) async fn check_home(&mut self, me: &NodeDescriptor) -> Result<(), StoreError> {
        let Some(node) = self.node(&me.id).await?.filter(|node| !node.forgotten) else { return Ok(()) };
        let Some(home) = me.other_home(node.facts.home.as_ref()) else { return Ok(()) };
        let home = Box::new(home.clone());
        let free_in = match (self.presence(&node), self.settings.terms) {
            (Presence::Present { until: Some(until) }, Some(terms)) => {
                let heard = terms.lease.saturating_sub(until.since(self.now));
                let node = me.id.clone();
                return Err(StoreError::Refused(StoreRejection::NameTaken { node, home, heard }));
            }
            (Presence::Present { .. } | Presence::Left | Presence::Lost { .. }, _) => None,
            (Presence::Unreachable { lost_at, .. }, _) if self.now < lost_at => Some(lost_at.since(self.now)),
            (Presence::Unreachable { .. }, _) => return self.take_from(node).await,
        };
        let open = self.ids(index::owned_by(&me.id), u32::MAX).await?.len();
        if open == 0 {
            return Ok(());
        }
        let open = u64::try_from(open).unwrap_or(u64::MAX);
        Err(StoreError::Refused(StoreRejection::NameHeld { node: me.id.clone(), home, open, free_in }))
    }

    /// Starts the lease of a node that has just registered.
    pub(crate) async fn begin_lease(&mut self, mut node: NodeRow) -> Result<(), StoreError> {
        self.restart_leases_after_silence().await?;
        node.lost = false;
        node.offer = NodeAdvertisement::default();
        self.extend(node);
        Ok(())
    }

    /// Records a heartbeat of a node.
    pub(crate) async fn record_heartbeat(&mut self, by: &Lease) -> Result<(), StoreError> {
        let node = self.check(by).await?;
        if self.settings.terms.is_none() {
            return Ok(());
        }
        self.restart_leases_after_silence().await?;
        let node = self.node(&by.node).await?.unwrap_or(node);
        self.extend(node);
        Ok(())
    }

    fn extend(&mut self, mut node: NodeRow) {
        if let Some(terms) = self.settings.terms {
            node.until = node.until.max(self.now.plus(terms.lease));
            self.counters.last_heartbeat = Some(self.now.0);
        }
        self.set_node(&node);
    }

    /// Restarts every lease if no node has sent a heartbeat for a long time, because the store was then unreachable.
    async fn restart_leases_after_silence(&mut self) -> Result<(), StoreError> {
        let (Some(terms), Some(last)) = (self.settings.terms, self.counters.last_heartbeat) else {
            return Ok(());
        };
        if self.now.since(Timestamp(last)) <= terms.lease {
            return Ok(());
        }
        for mut node in self.nodes().await?.into_iter().filter(|node| !node.lost) {
            node.until = node.until.max(self.now.plus(terms.lease));
            self.set_node(&node);
        }
        self.counters.last_heartbeat = Some(self.now.0);
        Ok(())
    }

    /// Ends the ownership of every node whose lease and grace period have expired.
    pub(crate) async fn take_from_lost(&mut self) -> Result<(), StoreError> {
        if self.settings.terms.is_none() {
            return Ok(());
        }
        self.restart_leases_after_silence().await?;
        for node in self.nodes().await? {
            match self.presence(&node) {
                Presence::Unreachable { lost_at, .. } if lost_at <= self.now => self.take_from(node).await?,
                Presence::Unreachable { .. }
                | Presence::Present { .. }
                | Presence::Lost { .. }
                | Presence::Left => {}
            }
        }
        Ok(())
    }

    /// Removes the owner from all processes of the node. From now on, writes with this lease are rejected.
    async fn take_from(&mut self, mut node: NodeRow) -> Result<(), StoreError> {
        node.epoch = node.epoch.next();
        node.lost = true;
        self.set_node(&node);
        let owned = self.ids(index::owned_by(&node.facts.id), u32::MAX).await?;
        let now = self.now;
        for row in self.readable(&owned).await? {
            let orphan = |row: &mut super::ProcessRow| {
                row.stored.owner = None;
                row.orphaned = Some(now);
            };
            self.change(&row, orphan).await?;
        }
        Ok(())
    }

    pub(crate) async fn advertise(
        &mut self,
        by: &Lease,
        offer: &NodeAdvertisement,
    ) -> Result<(), StoreError> {
        let node = self.check(by).await?;
        self.set_node(&NodeRow { offer: offer.clone(), ..node });
        Ok(())
    }

    pub(crate) async fn known_nodes(&mut self) -> Result<Vec<KnownNode>, StoreError> {
        let nodes = self.nodes().await?.into_iter().filter(|node| !node.forgotten);
        let known = |node: NodeRow| KnownNode {
            presence: self.presence(&node),
            facts: node.facts,
            epoch: node.epoch,
            offer: node.offer,
            draining: node.draining,
        };
        Ok(nodes.map(known).collect())
    }

    pub(crate) async fn drain(&mut self, node: &NodeId, draining: bool) -> Result<bool, StoreError> {
        let Some(known) = self.node(node).await?.filter(|known| !known.forgotten) else { return Ok(false) };
        self.set_node(&NodeRow { draining, ..known });
        self.notify_one(node).await?;
        Ok(true)
    }

    pub(crate) async fn forget(&mut self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        let Some(known) = self.node(node).await?.filter(|known| !known.forgotten) else {
            return Ok(ForgetOutcome::Unknown);
        };
        match self.presence(&known) {
            Presence::Present { .. } => return Ok(ForgetOutcome::Alive),
            Presence::Unreachable { lost_at, .. } if self.now < lost_at => return Ok(ForgetOutcome::Alive),
            Presence::Unreachable { .. } | Presence::Left => self.take_from(known).await?,
            Presence::Lost { .. } => {}
        }
        if let Some(known) = self.node(node).await? {
            let forgotten = NodeRow::of(known.facts, known.epoch);
            self.set_node(&NodeRow { left: known.left, forgotten: true, ..forgotten });
        }
        Ok(ForgetOutcome::Forgotten)
    }

    /// Returns the different label sets that waiting processes require of a node.
    pub(crate) async fn label_classes(&mut self) -> Result<Vec<PlacementClass>, StoreError> {
        let lanes = self.scan_values(&index::all_lanes(), u32::MAX).await?;
        let labels = lanes.iter().filter_map(|(key, _)| placement_class::labels(&Lane::stored(key).class));
        let mut classes: Vec<PlacementClass> =
            labels.map(|labels| PlacementClass::Shared(Placement::Labels(labels))).collect();
        classes.sort();
        classes.dedup();
        Ok(classes)
    }
}
