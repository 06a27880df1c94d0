//! Verifies and creates launch signatures while a store is copied.

use super::CopyError;
use crate::compose::trust::{ClusterSigner, cluster_notary};
use crate::compose::{postgres, shared};
use crate::config::{ManagerConfig, StoreChoice};
use longhaul_domain::Timestamp;
use longhaul_engine::ports::{LaunchSigner as _, StoredProcess};

/// How a copy handles launch signatures.
#[derive(Debug)]
pub(super) enum SignatureHandling {
    /// Neither the original nor the copy requires signatures.
    Nothing,
    /// The original is a shared store, so the signatures of its unfinished processes are verified.
    Checked(ClusterSigner),
    /// Only the copy is a shared store, so all launches are signed as if they had been accepted now.
    Sealed(ClusterSigner, Timestamp),
}

impl SignatureHandling {
    pub(super) async fn between(
        from: &StoreChoice,
        to: &StoreChoice,
        settings: Option<&ManagerConfig>,
        now: Timestamp,
    ) -> Result<Self, CopyError> {
        let Some(settings) = settings else { return Ok(Self::Nothing) };
        let into = if is_shared(to) { Some(cluster_notary(settings, to).await?) } else { None };
        if is_shared(from) {
            return Ok(Self::Checked(cluster_notary(settings, from).await?));
        }
        Ok(into.map_or(Self::Nothing, |signer| Self::Sealed(signer, now)))
    }

    /// Verifies or signs a record. Returns the record in the form in which the copy must contain it.
    pub(super) fn signed(&self, mut stored: StoredProcess) -> Result<StoredProcess, CopyError> {
        match self {
            Self::Nothing => {}
            Self::Checked(signer) => {
                let process = &stored.process;
                if process.spec.command().is_some() && !process.status().is_ended() {
                    let refused = |fault| CopyError::Untrusted { id: process.id, fault };
                    signer.verify(process).map_err(refused)?;
                }
            }
            Self::Sealed(signer, now) => {
                stored.process.signature = Some(signer.seal_from(&stored.process, *now));
            }
        }
        Ok(stored)
    }
}

/// Returns true if the store is shared. In a shared store, write access does not imply permission to launch.
pub(super) fn is_shared(store: &StoreChoice) -> bool {
    match store {
        StoreChoice::Other(url) => shared::knows(url) || postgres::knows(url),
        StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => false,
    }
}

/// Returns true if the registry opens the store: it is of a kind that a program added, or a PostgreSQL database.
pub(super) fn is_added(store: &StoreChoice) -> bool {
    matches!(store, StoreChoice::Other(url) if !shared::knows(url))
}
