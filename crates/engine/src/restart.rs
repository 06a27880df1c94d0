//! Restarts: launches the spec of an ended process again, as a new process that is linked to the old process.

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use crate::launch::LaunchOutcome;
use longhaul_domain::{Action, LaunchKey, Lineage, Process, ProcessId, Revision, Spec};
use longhaul_ports::{StoreRejection, StoredProcess};
use std::sync::Arc;

impl Engine {
    /// Restarts an ended process as a new process. If `expected` is given, the process must have that revision. The new
    /// process has the same parent as long as that parent accepts children.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] if the process has not ended, [`EngineError::RevisionMoved`] if it has another
    /// revision; otherwise as for [`launch`](Self::launch).
    pub async fn restart(
        &self,
        id: ProcessId,
        expected: Option<Revision>,
    ) -> Result<LaunchOutcome, EngineError> {
        let old = self.command(id, Action::Restart, expected).await?.stored.process;
        let core = self.core.clone();
        run_to_completion(async move { core.run_again(&old, None, None).await }).await
    }

    /// Restarts a process like [`restart`](Self::restart), but at most one time for a launch key. The new process
    /// receives this key.
    ///
    /// # Errors
    /// As for [`restart`](Self::restart); [`EngineError::KeyConflict`] if the key belongs to another launch.
    pub async fn restart_once(
        &self,
        id: ProcessId,
        expected: Option<Revision>,
        key: LaunchKey,
    ) -> Result<LaunchOutcome, EngineError> {
        let old = self.command(id, Action::Restart, expected).await?.stored.process;
        let core = self.core.clone();
        run_to_completion(async move { core.run_again_once(&old, key).await }).await
    }
}

impl EngineShared {
    async fn run_again_once(
        self: &Arc<Self>,
        old: &Process,
        key: LaunchKey,
    ) -> Result<LaunchOutcome, EngineError> {
        let conflict =
            |holder| EngineError::KeyConflict { key: key.to_string(), holder, differs: Vec::new() };
        let launched = match self.run_again(old, Some(key.clone()), None).await {
            // The specs can differ although this is the same restart, because the defaults that a launch fills in may
            // have changed since the first restart.
            Err(EngineError::KeyConflict { holder, .. }) => {
                let stored = self.load(holder).await.map_err(|_| conflict(holder))?;
                LaunchOutcome { stored, created: false }
            }
            other => other?,
        };
        let process = &launched.stored.process;
        if process.lineage.restarted_from == Some(old.id) { Ok(launched) } else { Err(conflict(process.id)) }
    }

    /// Launches the spec of an ended process again without delay. The old process keeps its launch key; the new process
    /// gets `launch_key`. The new process is a child of `parent` or, if that is `None`, of the parent of the old
    /// process.
    pub(crate) async fn run_again(
        self: &Arc<Self>,
        old: &Process,
        launch_key: Option<LaunchKey>,
        parent: Option<&StoredProcess>,
    ) -> Result<LaunchOutcome, EngineError> {
        // This node signs the new launch, so the signature of the old launch must be valid.
        self.verify(old)?;
        self.launch_again(old, launch_key, parent).await
    }

    /// Launches the spec of a process again like [`run_again`](Self::run_again), without verifying its signature.
    pub(crate) async fn launch_again(
        self: &Arc<Self>,
        old: &Process,
        launch_key: Option<LaunchKey>,
        parent: Option<&StoredProcess>,
    ) -> Result<LaunchOutcome, EngineError> {
        let spec = Spec { launch_key, not_before: None, ..old.spec.as_ref().clone() };
        let restarted_from = Some(old.id);
        let place = match parent.map(|parent| &parent.process) {
            Some(parent) => parent.lineage.child_of(parent.id).attached(),
            None => old.lineage.clone(),
        };
        let lineage = Lineage { restarted_from, ..place };
        match self.submit(spec.clone(), lineage, false, self.settings.roots()).await {
            Err(EngineError::Refused {
                refusal: StoreRejection::AncestorClosing { .. } | StoreRejection::ParentMissing { .. },
            }) => {
                let lineage = Lineage { restarted_from, ..Lineage::default() };
                self.submit(spec, lineage, false, self.settings.roots()).await
            }
            other => other,
        }
    }
}
