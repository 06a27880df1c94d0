use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_ports::{Lease, Membership, NodeDescriptor, NodeUpdates, OutputTails, StoreError};

impl OutputTails for FsStore {}

#[async_trait]
impl Membership for FsStore {
    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let me = me.clone();
        self.write(NO_OP, move |state, _| state.register(&me)).await
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let now = self.clock.now();
        let view = self.view().await?;
        view.state.ledger.check(by)?;
        Ok(view.state.ledger.calls(now, by))
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        self.parked(|view| {
            let ledger = &mut view.state.ledger;
            if let Err(fenced) = ledger.check(by) {
                return Some(Err(fenced));
            }
            let news = ledger.updates.take(&by.node);
            news.then(|| Ok(ledger.calls(self.clock.now(), by)))
        })
        .await?
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        let by = by.clone();
        self.write(NO_OP, move |state, _| {
            state.leave(&by);
            Ok(())
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        Ok(self.view().await?.state.ledger.members().cloned().collect())
    }
}
