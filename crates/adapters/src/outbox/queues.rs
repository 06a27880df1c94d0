//! Queues of the outbox. The policy in force is also stored in the outbox file.

// Every method must be forwarded, because a default implementation would not call the shared store.
#![warn(clippy::missing_trait_methods)]

use super::OutboxStore;
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, SlotKey};
use longhaul_ports::{PlacementClass, QueueState, Queues, StoreError};

#[async_trait]
impl Queues for OutboxStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        let (version, policy) = self.call(self.inner.policy()).await?;
        self.with_index(|index| index.set_policy(&self.writer, version, &policy));
        Ok((version, policy))
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let version = self.call(self.inner.set_policy(expected, policy)).await?;
        self.with_index(|index| index.set_policy(&self.writer, version, policy));
        Ok(version)
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        self.call(self.inner.queues(only)).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.call(self.inner.label_classes()).await
    }
}
