use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_ports::{Calls, Lease, Membership, NodeFacts, StoreError, Tails};

impl Tails for FsStore {}

#[async_trait]
impl Membership for FsStore {
    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        let me = me.clone();
        self.write(NO_OP, move |core, now| core.register(now, &me)).await
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        let now = self.clock.now();
        let book = self.book().await?;
        book.core.ledger.check(by)?;
        Ok(book.core.ledger.calls(now, by))
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.parked(|book| {
            let ledger = &mut book.core.ledger;
            if let Err(fenced) = ledger.check(by) {
                return Some(Err(fenced));
            }
            let news = ledger.news.take(&by.node);
            news.then(|| Ok(ledger.calls(self.clock.now(), by)))
        })
        .await?
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        let by = by.clone();
        self.write(NO_OP, move |core, _| {
            core.leave(&by);
            Ok(())
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        Ok(self.book().await?.core.ledger.members().cloned().collect())
    }
}
