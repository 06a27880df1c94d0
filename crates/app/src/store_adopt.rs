//! `longhaul store adopt`: gives a store to this state directory.

use crate::binding::Binding;
use crate::compose;
use crate::config::StoreChoice;
use crate::failure::Failure;
use crate::lock::ManagerLock;
use crate::state_dir::StateDir;
use crate::store_copy::CopyError;
use serde_json::json;
use std::path::Path;

/// Gives a store that nobody uses to a state directory, and gives what is printed.
pub(crate) fn store_adopt(state_dir: &Path, store: &StoreChoice, json: bool) -> Result<String, Failure> {
    let there = match store {
        StoreChoice::Memory => return Err(CopyError::Memory.into()),
        StoreChoice::Other(_) => return Err(CopyError::Unknown { scheme: store.to_string() }.into()),
        StoreChoice::Sqlite(path) | StoreChoice::Fs(path) => path.exists(),
    };
    if !there {
        return Err(CopyError::Missing { store: store.to_string() }.into());
    }
    let state = StateDir::prepare(state_dir)?;
    let _lock = ManagerLock::take(&state)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::System { tried: "start its runtime", source })?;
    runtime.block_on(adopt(&state, store))?;
    if json {
        let told = json!({ "store": store.to_string(), "state_dir": state.path().to_string_lossy() });
        return Ok(format!("{told:#}\n"));
    }
    Ok(format!(
        "{store} is the store of {} from here on\n\
        what still runs under another state directory is not seen from here: it will be called interrupted\n",
        state.path().display()
    ))
}

async fn adopt(state: &StateDir, store: &StoreChoice) -> Result<(), Failure> {
    let clock = compose::clock(state)?;
    // Held until it is done, so that nobody begins with it meanwhile.
    let opened = compose::movable(store, &clock)
        .map_err(|source| CopyError::Store { store: store.to_string(), source })?;
    let Some(_opened) = opened else {
        return Err(CopyError::InUse { store: store.to_string(), user: Binding::user(store) }.into());
    };
    Ok(Binding::adopt(state, store).map_err(CopyError::from)?)
}
