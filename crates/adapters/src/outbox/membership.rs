//! Membership of this node in the cluster. Stores the lease, the drain state and the history of the shared store.

// Every method must be forwarded, because a default implementation would not call the shared store.
#![warn(clippy::missing_trait_methods)]

use super::OutboxStore;
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, NodeId, ProcessId};
use longhaul_ports::{
    AttemptKey, ForgetOutcome, KnownNode, Lease, Membership, NodeAdvertisement, NodeDescriptor, NodeUpdates,
    OutputTail, OutputTails, StoreError,
};

#[async_trait]
impl OutputTails for OutboxStore {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        self.call(self.inner.store_tail(by, key, tail)).await
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.call(self.inner.load_tail(id)).await
    }
}

#[async_trait]
impl Membership for OutboxStore {
    fn leases_expire(&self) -> bool {
        self.inner.leases_expire()
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let lease = self.call(self.inner.register(me)).await?;
        self.with_index(|index| index.set_lease(&lease));
        Ok(lease)
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let calls = self.call(self.inner.renew_lease(by)).await?;
        self.note_history(&calls);
        Ok(calls)
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let calls = self.call(self.inner.wait_for_updates(by)).await?;
        self.note_history(&calls);
        Ok(calls)
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.call(self.inner.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.call(self.inner.nodes()).await
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        self.call(self.inner.advertise(by, offer)).await
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        let known = self.call(self.inner.list_nodes()).await?;
        self.note_drain(&known).await;
        Ok(known)
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let known = self.call(self.inner.drain(node, drain)).await?;
        self.with_index(|index| {
            if known && index.is_me(node) {
                index.update_meta(&self.writer, |mark| mark.draining = drain);
            }
        });
        Ok(known)
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        self.call(self.inner.forget(node)).await
    }
}

impl OutboxStore {
    /// Records the drain state of this node, which another node may have changed. If the store has lost data, ignores
    /// the drain state that the store reports, because it may be lost too.
    async fn note_drain(&self, known: &[KnownNode]) {
        let is_news = |node: &KnownNode| {
            self.with_index(|index| index.is_me(&node.facts.id) && index.mark().draining != node.draining)
        };
        let Some(me) = known.iter().find(|node| is_news(node)) else { return };
        // Read the history after the node list, so that a loss of data between the two reads is detected.
        let Ok(history) = self.inner.history().await else { return };
        self.with_index(|index| {
            let earlier = index.mark().history.as_ref();
            if earlier.is_some_and(|earlier| history.continues(earlier) && history.server == earlier.server) {
                index.update_meta(&self.writer, |mark| mark.draining = me.draining);
            }
        });
    }

    fn note_history(&self, calls: &NodeUpdates) {
        if let Some(history) = &calls.history {
            self.with_index(|index| index.note_history(&self.writer, history));
        }
    }
}
