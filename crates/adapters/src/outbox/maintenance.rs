//! What has to be done for processes that nobody owns, and for a store that lost something.

// A method with a default would end here instead of in the store of many machines.
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
