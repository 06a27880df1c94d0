//! Launches the command of an ended process again with other arguments.

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use crate::launch::LaunchOutcome;
use longhaul_domain::{Action, CommandSpec, Process, ProcessId, Revision, Spec, Work};
use std::sync::Arc;

impl Engine {
    /// Restarts an ended process with another command line, for example to run only its failed tests. The new process
    /// is linked to the old one.
    ///
    /// # Errors
    /// As for [`restart`](Self::restart).
    pub async fn restart_with(
        &self,
        id: ProcessId,
        argv: Vec<String>,
        expected: Option<Revision>,
    ) -> Result<LaunchOutcome, EngineError> {
        let old = self.command(id, Action::Restart, expected).await?.stored.process;
        let core = self.core.clone();
        run_to_completion(async move { core.run_other(old, argv).await }).await
    }
}

impl EngineShared {
    async fn run_other(
        self: &Arc<Self>,
        mut old: Process,
        argv: Vec<String>,
    ) -> Result<LaunchOutcome, EngineError> {
        // Verify the launch signature before the change, because it covers the old command line.
        self.verify(&old)?;
        let mut words = argv.into_iter();
        let spec = old.spec.as_ref().clone();
        let work = match (spec.work, words.next()) {
            (Work::Command(command), Some(program)) => {
                Work::Command(Box::new(CommandSpec { program, args: words.collect(), ..*command }))
            }
            (work, _) => work,
        };
        old.spec = Arc::new(Spec { work, ..spec });
        self.launch_again(&old, None, None).await
    }
}
