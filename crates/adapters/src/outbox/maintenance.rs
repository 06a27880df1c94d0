//! Maintenance of the outbox store: claims due work, prunes records, and restores records that the shared store has
//! lost.

// Every method must be forwarded: a default implementation would not call the shared store.
#![warn(clippy::missing_trait_methods)]

use super::OutboxStore;
use async_trait::async_trait;
use longhaul_domain::Retention;
use longhaul_ports::{Lease, Maintenance, PrunedBatch, ReconcileResult, StoreError, StoredProcess};

#[async_trait]
impl Maintenance for OutboxStore {
    async fn claim_due(&self, by: &Lease, most: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let rows = self.asked(self.inner.claim_due(by, most)).await?;
        self.heard(&rows);
        Ok(rows)
    }

    async fn prune(&self, rule: &Retention, most: u32) -> Result<PrunedBatch, StoreError> {
        let swept = self.asked(self.inner.prune(rule, most)).await?;
        self.keep(|shelf| swept.ids.iter().filter_map(|id| shelf.let_go(id)).collect());
        Ok(swept)
    }

    async fn reconcile(&self, by: &Lease) -> Result<ReconcileResult, StoreError> {
        self.asked(self.compare(by)).await
    }
}
