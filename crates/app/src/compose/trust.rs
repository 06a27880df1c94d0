//! Selects the component that signs launches.

use super::{ComposeError, cluster_key};
use crate::config::{ManagerConfig, StoreChoice};
use longhaul_adapters::signing::{ClusterKeys, KeyFile};
use longhaul_engine::ports::{LaunchSigner, NoopSigner, Store};
use std::sync::Arc;

pub(crate) use longhaul_adapters::signing::{ClusterSigner, KeyFileError, KeyId};

/// Returns the component that signs launches. A local store is as private as the state directory and needs no
/// signatures. With a shared store, all nodes sign with the same cluster key.
pub(super) async fn signer(
    settings: &ManagerConfig,
    store: &dyn Store,
) -> Result<Arc<dyn LaunchSigner>, ComposeError> {
    if !store.leases_expire() {
        return Ok(Arc::new(NoopSigner));
    }
    Ok(Arc::new(cluster_notary(settings, &settings.store).await?))
}

/// Returns the launch signer for a shared store. Creates the cluster key if the nodes of the store have no key yet.
pub(crate) async fn cluster_notary(
    settings: &ManagerConfig,
    choice: &StoreChoice,
) -> Result<ClusterSigner, ComposeError> {
    let file = key_file(settings)?;
    let failed = |source| ComposeError::Store { store: choice.to_string(), source };
    let bad = |source| ComposeError::ClusterKey { source };
    let url = match choice {
        StoreChoice::Other(url) if cluster_key::is_recorded_by(url) => Some(url),
        StoreChoice::Other(_) | StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => None,
    };
    let Some(url) = url else {
        file.keys_or_new().map_err(bad)?;
        return ClusterSigner::open(file, settings.launch_valid_for).map_err(bad);
    };
    let other = |theirs, ours: Option<&ClusterKeys>| ComposeError::OtherKey {
        store: choice.to_string(),
        theirs,
        ours: ours.map(|keys| keys.signing().to_string()),
        path: file.path().to_owned(),
    };
    let theirs = cluster_key::recorded(url).await.map_err(failed)?;
    let keys = match theirs {
        // A newly created key would differ from the key of the other nodes.
        Some(theirs) if !file.is_there() => return Err(other(theirs, None)),
        Some(_) => file.keys().map_err(bad)?,
        None => file.keys_or_new().map_err(bad)?,
    };
    let agreed = cluster_key::agree(url, &keys).await.map_err(failed)?;
    let is_ours = std::iter::once(keys.signing()).chain(keys.trusted()).any(|key| key.as_str() == agreed);
    if !is_ours {
        return Err(other(agreed, Some(&keys)));
    }
    ClusterSigner::open(file.clone(), settings.launch_valid_for).map_err(bad)
}

/// Returns the cluster key file that the configuration names.
pub(crate) fn key_file(settings: &ManagerConfig) -> Result<KeyFile, ComposeError> {
    settings.cluster_key.as_ref().map(KeyFile::at).ok_or(ComposeError::NoKeyPlace)
}
