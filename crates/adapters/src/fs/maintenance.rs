use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, Retention, SlotKey};
use longhaul_ports::{
    Lease, Maintenance, PlacementClass, PrunedBatch, QueueState, Queues, StoreError, StoredProcess,
};

#[async_trait]
impl Maintenance for FsStore {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let by = by.clone();
        self.write(NO_OP, move |state, now| state.claim_due(now, &by, limit)).await
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let rule = *rule;
        self.write(NO_OP, move |state, now| Ok(state.prune(now, &rule, limit))).await
    }
}

#[async_trait]
impl Queues for FsStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        Ok(self.view().await?.state.ledger.policy.clone())
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let policy = policy.clone();
        self.write(NO_OP, move |state, _| state.set_policy(expected, &policy)).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        Ok(self.view().await?.state.ledger.queues(only))
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        Ok(self.view().await?.state.ledger.label_classes())
    }
}
