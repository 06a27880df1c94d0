//! Restarts: the same details as a new process, linked to the old one.

use crate::engine::{Core, Engine};
use crate::error::EngineError;
use crate::launch::Launched;
use crate::shield::to_its_end;
use longhaul_domain::{Command, LaunchKey, Lineage, Process, ProcessId, Revision, Spec};
use longhaul_ports::Refusal;
use std::sync::Arc;

impl Engine {
    /// Runs an ended process again, as a new one; with `expected` only if it still is at that revision. It keeps its
    /// place under its parent while that may have children.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] while it has not ended, [`EngineError::RevisionMoved`]; else as
    /// [`launch`](Self::launch).
    pub async fn restart(&self, id: ProcessId, expected: Option<Revision>) -> Result<Launched, EngineError> {
        let old = self.command(id, Command::Restart, expected).await?.stored.process;
        let core = self.core.clone();
        to_its_end(async move { core.run_again(&old, None).await }).await
    }
}

impl Core {
    /// Launches what an ended process was asked for. Its own launch key still names it, and its moment has passed.
    pub(crate) async fn run_again(
        self: &Arc<Self>,
        old: &Process,
        launch_key: Option<LaunchKey>,
    ) -> Result<Launched, EngineError> {
        let spec = Spec { launch_key, not_before: None, ..old.spec.as_ref().clone() };
        let restarted_from = Some(old.id);
        let lineage = Lineage { restarted_from, ..old.lineage.clone() };
        match self.submit(spec.clone(), lineage, false, self.settings.roots()).await {
            Err(EngineError::Refused {
                refusal: Refusal::AncestorClosing { .. } | Refusal::ParentMissing { .. },
            }) => {
                let lineage = Lineage { ancestors: Vec::new(), restarted_from };
                self.submit(spec, lineage, false, self.settings.roots()).await
            }
            other => other,
        }
    }
}
