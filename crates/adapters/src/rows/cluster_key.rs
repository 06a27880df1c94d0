//! The id of the cluster key of the nodes of a store. A node with another key is then refused when it starts, and not only
//! when its launches are rejected. The id is not a security measure.

use super::key::RowKey;
use super::{Rows, StoreOn};
use longhaul_ports::StoreError;

impl<R: Rows> StoreOn<R> {
    /// Returns the id of the cluster key that the nodes use, or `None` if no id is stored yet.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn cluster_key(&self) -> Result<Option<String>, StoreError> {
        self.looking().await?.value(key()).await
    }

    /// Stores the id of the `signing` cluster key if the store has no id yet, or if it has the id of the `trusted` key
    /// that the signing key replaces. Returns the id that the store contains after this call. The returned id differs
    /// from `signing` if the other nodes use another key.
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub async fn agree_on_key(&self, signing: &str, trusted: Option<&str>) -> Result<String, StoreError> {
        let mut step = self.writing().await?;
        match step.value(key()).await? {
            Some(theirs) if Some(theirs.as_str()) != trusted => step.commit(theirs).await,
            Some(_) | None => {
                step.set_value(key(), Some(signing.to_owned()));
                step.commit(signing.to_owned()).await
            }
        }
    }
}

fn key() -> RowKey {
    RowKey::of("cluster_key")
}
