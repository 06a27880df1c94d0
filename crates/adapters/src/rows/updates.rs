//! Registrations of nodes, and the work that is pending for a node.

use super::index;
use super::key::{KeyRange, RowKey};
use super::transaction::StoreTransaction;
use super::values::{self, NodeRow, UpdateCounts};
use longhaul_domain::{Epoch, NodeId, Timestamp};
use longhaul_ports::{Lease, NodeDescriptor, NodeUpdates, SortOrder, StoreError};

impl StoreTransaction<'_> {
    /// Registers a node and returns its lease.
    pub(crate) async fn register(&mut self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        self.check_home(me).await?;
        let mut node = self.node(&me.id).await?.unwrap_or_else(|| NodeRow::of(me.clone(), Epoch(0)));
        node.facts = me.clone();
        node.epoch = node.epoch.max(Epoch(self.counters.epochs_from)).next();
        (node.left, node.forgotten) = (false, false);
        node.seen = self.updates_for(&me.id).await?;
        let lease = Lease { node: me.id.clone(), epoch: node.epoch };
        self.renew_ownership(&lease).await?;
        self.begin_lease(node).await?;
        if self.has_work_for(&lease).await? {
            self.notify_one(&lease.node).await?;
        }
        Ok(lease)
    }

    /// Assigns all processes of a node to its newest lease.
    pub(crate) async fn renew_ownership(&mut self, lease: &Lease) -> Result<(), StoreError> {
        let owned = self.ids(index::owned_by(&lease.node), u32::MAX).await?;
        for row in self.readable(&owned).await? {
            self.change(&row, |row| row.stored.owner = Some(lease.clone())).await?;
        }
        Ok(())
    }

    /// Returns true if there is work for the node of a new lease. Ignores which updates an earlier lease of the node
    /// received.
    async fn has_work_for(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        if self.first_due().await?.is_some() {
            return Ok(true);
        }
        let ranges = [RowKey::of("waiting").below(), index::acting_for(&lease.node)];
        let found = self.scan(&ranges, SortOrder::OldestFirst, 1).await?;
        Ok(found.iter().any(|entries| !entries.is_empty()))
    }

    /// Returns the numbers of updates for a node so far.
    async fn updates_for(&mut self, node: &NodeId) -> Result<UpdateCounts, StoreError> {
        let own = values::number(self.value(values::updates_key(node)).await?.as_deref())?;
        Ok((self.counters.updates, own))
    }

    /// Returns the numbers of updates for the node of a lease: now, and at its registration.
    pub(crate) async fn updates_of(
        &mut self,
        by: &Lease,
    ) -> Result<(UpdateCounts, UpdateCounts), StoreError> {
        let found = self.values(&[NodeRow::key(&by.node), values::updates_key(&by.node)]).await?;
        let mut found = found.into_iter();
        let node = found.next().flatten().map(|text| self.decode_node(&by.node, &text)).transpose()?;
        let node = node.filter(|node| node.epoch == by.epoch).ok_or_else(|| StoreError::fenced(by))?;
        let own = values::number(found.next().flatten().as_deref())?;
        Ok(((self.counters.updates, own), node.seen))
    }

    /// Removes the node from the list of nodes. Does nothing if the node has a newer lease.
    pub(crate) async fn leave(&mut self, by: &Lease) -> Result<(), StoreError> {
        if let Some(node) = self.node(&by.node).await?
            && node.epoch == by.epoch
        {
            self.set_node(&NodeRow { left: true, ..node });
        }
        Ok(())
    }

    pub(crate) async fn members(&mut self) -> Result<Vec<NodeDescriptor>, StoreError> {
        let nodes = self.nodes().await?.into_iter();
        Ok(nodes.filter(|node| !node.left && !node.forgotten).map(|node| node.facts).collect())
    }

    /// Returns the pending work of a node.
    pub(crate) async fn pending_work(&mut self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let node = self.node(&by.node).await?.filter(|node| !node.left);
        let due = self.first_due().await?.into_iter().chain(self.next_loss().await?).min();
        Ok(NodeUpdates {
            now: self.now,
            lease_until: node.filter(|_| self.settings.terms.is_some()).map(|node| node.until),
            pending_actions: self.ids(index::acting_for(&by.node), u32::MAX).await?,
            due,
            policy: self.policy.0,
            history: None,
        })
    }

    /// Returns the earliest time at which a node loses its processes, unless its lease is renewed before that time.
    async fn next_loss(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let Some(terms) = self.settings.terms else { return Ok(None) };
        let nodes = self.nodes().await?.into_iter();
        let (ranges, losses): (Vec<KeyRange>, Vec<Timestamp>) =
            nodes.filter_map(|node| Some((index::owned_by(&node.facts.id), terms.lost_at(&node)?))).unzip();
        if ranges.is_empty() {
            return Ok(None);
        }
        let owned = self.scan(&ranges, SortOrder::OldestFirst, 1).await?;
        Ok(losses.into_iter().zip(owned).filter(|(_, owned)| !owned.is_empty()).map(|(at, _)| at).min())
    }
}
