//! Whether what is copied was vouched for, and vouching for it where that is asked for.

use super::CopyError;
use crate::compose::shared;
use crate::compose::trust::{ClusterSigner, cluster_notary};
use crate::config::{ManagerConfig, StoreChoice};
use longhaul_domain::Timestamp;
use longhaul_engine::ports::{LaunchSigner as _, StoredProcess};

/// What a copy does about the seals of launches.
#[derive(Debug)]
pub(super) enum SignatureHandling {
    /// Neither store asks for seals.
    Nothing,
    /// The original is a store of many machines: what still lives in it has to be what its nodes accepted.
    Checked(ClusterSigner),
    /// The copy is one, and the original belongs to this machine alone: its launches are vouched for as if they had been
    /// accepted now.
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
        Ok(into.map_or(Self::Nothing, |notary| Self::Sealed(notary, now)))
    }

    /// The record as it has to be in the copy.
    pub(super) fn vouched(&self, mut stored: StoredProcess) -> Result<StoredProcess, CopyError> {
        match self {
            Self::Nothing => {}
            Self::Checked(notary) => {
                let process = &stored.process;
                if process.spec.command().is_some() && !process.status().is_ended() {
                    let refused = |fault| CopyError::Untrusted { id: process.id, fault };
                    notary.verify(process).map_err(refused)?;
                }
            }
            Self::Sealed(notary, now) => {
                stored.process.signature = Some(notary.seal_from(&stored.process, *now));
            }
        }
        Ok(stored)
    }
}

/// Whether whoever writes to it is not trusted with launches.
pub(super) fn is_shared(store: &StoreChoice) -> bool {
    match store {
        StoreChoice::Other(url) => shared::knows(url),
        StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => false,
    }
}

/// Whether the program added its kind of store.
pub(super) fn is_added(store: &StoreChoice) -> bool {
    matches!(store, StoreChoice::Other(_)) && !is_shared(store)
}
