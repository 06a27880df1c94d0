//! Restarts: the same details as a new process, linked to the old one.

use crate::engine::Engine;
use crate::error::EngineError;
use crate::launch::Launched;
use crate::shield::to_its_end;
use longhaul_domain::{Command, Lineage, ProcessId, Spec};
use longhaul_ports::Refusal;

impl Engine {
    /// Runs an ended process again, as a new one. It keeps its place under its parent while that may have children.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] while it has not ended; else as [`launch`](Self::launch).
    pub async fn restart(&self, id: ProcessId) -> Result<Launched, EngineError> {
        let old = self.command(id, Command::Restart, None).await?.stored.process;
        let core = self.core.clone();
        to_its_end(async move {
            // The launch key names the old process, and its moment has passed.
            let spec = Spec { launch_key: None, not_before: None, ..old.spec.as_ref().clone() };
            let lineage = Lineage { restarted_from: Some(id), ..old.lineage };
            match core.submit(spec.clone(), lineage, false).await {
                Err(EngineError::Refused {
                    refusal: Refusal::AncestorClosing { .. } | Refusal::ParentMissing { .. },
                }) => {
                    let root = Lineage { ancestors: Vec::new(), restarted_from: Some(id) };
                    core.submit(spec, root, false).await
                }
                other => other,
            }
        })
        .await
    }
}
