//! The node's own lease, and how far the store has come.

// A method with a default would end here instead of in the store of many machines.
#![warn(clippy::missing_trait_methods)]

use super::Outboxed;
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, NodeId, ProcessId};
use longhaul_ports::{
    AttemptKey, Calls, KeptTail, KnownNode, Lease, Membership, NodeFacts, NodeOffer, Parting, StoreError,
    Tails,
};

#[async_trait]
impl Tails for Outboxed {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.asked(self.inner.keep_tail(by, key, tail)).await
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        self.asked(self.inner.kept_tail(id)).await
    }
}

#[async_trait]
impl Membership for Outboxed {
    fn leases_end(&self) -> bool {
        self.inner.leases_end()
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        let lease = self.asked(self.inner.register(me)).await?;
        self.look(|shelf| shelf.is_mine(&lease));
        Ok(lease)
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        let calls = self.asked(self.inner.beat(by)).await?;
        self.reached(&calls);
        Ok(calls)
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        let calls = self.asked(self.inner.called(by)).await?;
        self.reached(&calls);
        Ok(calls)
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.asked(self.inner.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        self.asked(self.inner.nodes()).await
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.asked(self.inner.announce(by, offer)).await
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        let known = self.asked(self.inner.known_nodes()).await?;
        self.note_drain(&known).await;
        Ok(known)
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let known = self.asked(self.inner.drain(node, drain)).await?;
        self.look(|shelf| {
            if known && shelf.is_me(node) {
                shelf.note_mark(&self.keeper, |mark| mark.draining = drain);
            }
        });
        Ok(known)
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        self.asked(self.inner.forget(node)).await
    }
}

impl Outboxed {
    /// Whether this node drains may have been said at another one. A store that lost what was said tells nothing of it.
    async fn note_drain(&self, known: &[KnownNode]) {
        let is_news = |node: &KnownNode| {
            self.look(|shelf| shelf.is_me(&node.facts.id) && shelf.mark().draining != node.draining)
        };
        let Some(me) = known.iter().find(|node| is_news(node)) else { return };
        // Asked later, so that a loss in between is seen.
        let Ok(history) = self.inner.history().await else { return };
        self.look(|shelf| {
            let earlier = shelf.mark().history.as_ref();
            if earlier.is_some_and(|earlier| history.continues(earlier) && history.server == earlier.server) {
                shelf.note_mark(&self.keeper, |mark| mark.draining = me.draining);
            }
        });
    }

    fn reached(&self, calls: &Calls) {
        if let Some(history) = &calls.history {
            self.look(|shelf| shelf.reached(&self.keeper, history));
        }
    }
}
