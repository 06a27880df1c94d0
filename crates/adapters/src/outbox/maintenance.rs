//! Maintenance of the outbox: claims due work, prunes records, and restores records that the shared store has lost.

// Every method must be forwarded, because a default implementation would not call the shared store.
#![warn(clippy::missing_trait_methods)]

use super::OutboxStore;
use async_trait::async_trait;
use longhaul_domain::Retention;
use longhaul_ports::{Lease, Maintenance, PrunedBatch, ReconcileResult, StoreError, StoredProcess};

#[async_trait]
impl Maintenance for OutboxStore {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let rows = self.call(self.inner.claim_due(by, limit)).await?;
        self.note_records(&rows);
        Ok(rows)
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let pruned = self.call(self.inner.prune(rule, limit)).await?;
        self.update(|index| pruned.ids.iter().filter_map(|id| index.remove(id)).collect());
        Ok(pruned)
    }

    async fn reconcile(&self, by: &Lease) -> Result<ReconcileResult, StoreError> {
        self.call(self.compare(by)).await
    }
}
