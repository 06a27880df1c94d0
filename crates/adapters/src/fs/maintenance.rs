use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, Retention, SlotKey};
use longhaul_ports::{
    Lease, Maintenance, PlacementClass, PrunedBatch, QueueState, Queues, StoreError, StoredProcess,
};

#[async_trait]
impl Maintenance for FsStore {
    async fn claim_due(&self, by: &Lease, most: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let by = by.clone();
        self.write(NO_OP, move |core, now| core.claim_due(now, &by, most)).await
    }

    async fn prune(&self, rule: &Retention, most: u32) -> Result<PrunedBatch, StoreError> {
        let rule = *rule;
        self.write(NO_OP, move |core, now| Ok(core.prune(now, &rule, most))).await
    }
}

#[async_trait]
impl Queues for FsStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        Ok(self.book().await?.core.ledger.policy.clone())
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let policy = policy.clone();
        self.write(NO_OP, move |core, _| core.set_policy(expected, &policy)).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        Ok(self.book().await?.core.ledger.queues(only))
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        Ok(self.book().await?.core.ledger.label_classes())
    }
}
