//! The command `longhaul store key`.

use crate::compose::trust::{KeyFileError, KeyId, key_file};
use crate::compose::{ComposeError, cluster_key};
use crate::config::{ManagerConfig, StoreChoice};
use crate::failure::ProgramError;
use crate::store_adopt::ConsentMode;
use serde_json::json;

/// Change to the cluster keys in the key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyChange {
    /// The keys are only shown, not changed.
    Stay,
    /// A new key is created, which signs from now on. The previous key is still trusted.
    Rotate,
    /// The previous key is removed from the key file.
    Retire,
}

impl KeyChange {
    pub(crate) const fn of(rotate: bool, retire: bool) -> Self {
        match (rotate, retire) {
            (true, _) => Self::Rotate,
            (false, true) => Self::Retire,
            (false, false) => Self::Stay,
        }
    }
}

/// Changes the cluster keys and returns the text to print: the ids of the keys and the path of their file, but not the
/// keys themselves.
///
/// A key is not removed in these cases:
///
/// - The store records this key as the key of its nodes. Without the key, no manager of the store could start.
/// - Unfinished processes were signed with this key, and the user did not consent.
pub(crate) fn key_verb(
    settings: &ManagerConfig,
    turn: KeyChange,
    consent: ConsentMode,
    as_json: bool,
) -> Result<String, ProgramError> {
    let failed = |source: KeyFileError| ComposeError::ClusterKey { source };
    let file = key_file(settings)?;
    let keys = match turn {
        KeyChange::Stay => file.keys(),
        KeyChange::Rotate => file.rotate(),
        KeyChange::Retire => {
            if let Some(old) = file.keys().map_err(failed)?.trusted() {
                check_needless(settings, old, consent)?;
            }
            file.retire()
        }
    };
    let keys = keys.map_err(failed)?;
    let (signing, path) = (keys.signing(), file.path().display());
    if as_json {
        let answer = json!({
            "schema": "longhaul/cluster-key/v1",
            "signing": signing.as_str(),
            "trusted": keys.trusted().map(KeyId::as_str),
            "path": file.path().to_string_lossy(),
        });
        return Ok(format!("{answer:#}\n"));
    }
    let trusted = keys.trusted().map_or_else(String::new, |key| format!("{key} is also trusted\n"));
    let next = match turn {
        KeyChange::Stay => "",
        KeyChange::Rotate => {
            "next: copy the file to every node with mode 0600, then restart the managers one after the other; from then on\n\
             they sign with the new key. When all processes that the old key signed have ended: longhaul store key --retire\n"
        }
        KeyChange::Retire => "next: copy the file to every node and restart the managers\n",
    };
    Ok(format!("{signing} signs launches\n{trusted}{path}\n{next}"))
}

/// Refuses to remove a key that the store records as the key of its nodes, and a key with which unfinished processes
/// were signed.
fn check_needless(settings: &ManagerConfig, old: &KeyId, consent: ConsentMode) -> Result<(), ProgramError> {
    let StoreChoice::Other(url) = &settings.store else { return Ok(()) };
    if !cluster_key::is_recorded_by(url) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ProgramError::System { tried: "start the async runtime", source })?;
    let failed = |source| ComposeError::Store { store: settings.store.to_string(), source };
    let named = runtime.block_on(cluster_key::recorded(url)).map_err(failed)?;
    if named.as_deref() == Some(old.as_str()) {
        return Err(ProgramError::KeyNamed { key: old.to_string(), store: settings.store.to_string() });
    }
    if consent == ConsentMode::Given {
        return Ok(());
    }
    match runtime.block_on(cluster_key::signed_with(url, old)).map_err(failed)? {
        0 => Ok(()),
        open => Err(ProgramError::KeyNeeded { key: old.to_string(), open }),
    }
}
