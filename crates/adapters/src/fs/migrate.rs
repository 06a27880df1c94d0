use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_ports::{Books, Logged, Migrate, StoreError, Stored};

#[async_trait]
impl Migrate for FsStore {
    async fn books(&self) -> Result<Books, StoreError> {
        Ok(self.book().await?.core.books())
    }

    async fn take_processes(&self, processes: &[Stored]) -> Result<(), StoreError> {
        let processes = processes.to_vec();
        self.write(NO_OP, move |core, _| {
            processes.iter().for_each(|stored| core.take_process(stored.clone()));
            Ok(())
        })
        .await
    }

    async fn take_events(&self, events: &[Logged]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.write(NO_OP, move |core, _| {
            events.iter().for_each(|logged| core.take_event(logged.clone()));
            Ok(())
        })
        .await
    }

    async fn take_books(&self, books: &Books) -> Result<(), StoreError> {
        let books = books.clone();
        self.write(NO_OP, move |core, _| {
            core.take_books(&books);
            Ok(())
        })
        .await
    }
}
