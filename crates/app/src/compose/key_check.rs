//! Checks the cluster key of a shared store for `longhaul doctor`.

use super::trust::key_file;
use super::{ComposeError, cluster_key, have};
use crate::config::ManagerConfig;
use crate::doctor::DoctorCheck;
use longhaul_adapters::signing::{ClusterKeys, KeyId};
use std::time::Duration;

/// Maximum time until the server responds.
const STORE_TIMEOUT: Duration = Duration::from_secs(6);

/// Checks that this node has the key of the other nodes. Returns `None` if the server does not respond, because another
/// check reports this.
pub(crate) async fn check(name: &'static str, settings: &ManagerConfig, url: &str) -> Option<DoctorCheck> {
    match tokio::time::timeout(STORE_TIMEOUT, find(settings, url)).await {
        Ok(Err(ComposeError::Store { .. })) | Err(_) => None,
        Ok(found) => Some(of_key(name, found)),
    }
}

/// The cluster key that signs launches, and an older key that is still trusted.
struct KeyCheck {
    /// Id of the key that signs launches. `None` if there is no key yet; the first manager creates it.
    current: Option<String>,
    /// Id of the older key, and number of unfinished processes whose launch was signed with it. `None` if there is no
    /// older key.
    older: Option<(KeyId, usize)>,
}

/// Returns the keys with which the nodes of a store sign launches. Does not create a key.
async fn find(settings: &ManagerConfig, url: &str) -> Result<KeyCheck, ComposeError> {
    let failed = |source| ComposeError::Store { store: settings.store.to_string(), source };
    let file = key_file(settings)?;
    let theirs = cluster_key::recorded(url).await.map_err(failed)?;
    let ours = if file.is_there() {
        Some(file.keys().map_err(|source| ComposeError::ClusterKey { source })?)
    } else {
        None
    };
    let older = match ours.as_ref().and_then(ClusterKeys::trusted) {
        Some(older) => Some((older.clone(), cluster_key::signed_with(url, older).await.map_err(failed)?)),
        None => None,
    };
    let Some(theirs) = theirs else {
        return Ok(KeyCheck { current: ours.map(|keys| keys.signing().to_string()), older });
    };
    let is_ours = |keys: &ClusterKeys| {
        std::iter::once(keys.signing()).chain(keys.trusted()).any(|key| key.as_str() == theirs)
    };
    if ours.as_ref().is_some_and(is_ours) {
        return Ok(KeyCheck { current: Some(theirs), older });
    }
    Err(ComposeError::OtherKey {
        store: settings.store.to_string(),
        theirs,
        ours: ours.map(|keys| keys.signing().to_string()),
        path: file.path().to_owned(),
    })
}

fn of_key(name: &'static str, found: Result<KeyCheck, ComposeError>) -> DoctorCheck {
    let error = match found {
        Ok(KeyCheck { current: Some(key), older: None }) => return DoctorCheck::ok(name, key),
        Ok(KeyCheck { current: Some(key), older: Some((older, 0)) }) => {
            return DoctorCheck::ok(name, key)
                .because(format!(
                    "the file also contains the key {older}; no unfinished process was signed with it"
                ))
                .so("when all nodes sign with the new key, remove the older key: `longhaul store key --retire`");
        }
        Ok(KeyCheck { current: Some(key), older: Some((older, open)) }) => {
            return DoctorCheck::ok(name, key)
                .because(format!(
                    "the key {older} is still needed, because it signed unfinished launches: {} \
                                  not ended yet",
                    have(open)
                ))
                .with("sealed_by_older", open as u64);
        }
        Ok(KeyCheck { current: None, .. }) => {
            return DoctorCheck::ok(name, "no cluster key exists yet; the first manager creates it");
        }
        Err(error) => error,
    };
    let check = DoctorCheck::obstacle(name, error.to_string());
    let check = match error.why() {
        Some(why) => check.because(why),
        None => check,
    };
    match error.help() {
        Some(help) => check.so(help),
        None => check,
    }
}
