use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_ports::{LoggedEvent, Migrate, StoreError, StoreMetadata, StoredProcess};

#[async_trait]
impl Migrate for FsStore {
    async fn store_metadata(&self) -> Result<StoreMetadata, StoreError> {
        Ok(self.view().await?.state.store_metadata())
    }

    async fn import_processes(&self, processes: &[StoredProcess]) -> Result<(), StoreError> {
        let processes = processes.to_vec();
        self.write(NO_OP, move |state, _| {
            processes.iter().for_each(|stored| state.take_process(stored.clone()));
            Ok(())
        })
        .await
    }

    async fn import_events(&self, events: &[LoggedEvent]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.write(NO_OP, move |state, _| {
            events.iter().for_each(|logged| state.take_event(logged.clone()));
            Ok(())
        })
        .await
    }

    async fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StoreError> {
        let store_metadata = store_metadata.clone();
        self.write(NO_OP, move |state, _| {
            state.import_metadata(&store_metadata);
            Ok(())
        })
        .await
    }
}
