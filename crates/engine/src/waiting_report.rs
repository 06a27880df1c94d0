//! Reports of a command that it is waiting for input.

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use crate::monitor::reports_input;
use longhaul_domain::{Condition, Input, Observation, ProcessId, ProgressReport};
use longhaul_ports::AttemptKey;
use std::sync::Arc;

impl Engine {
    /// Records whether a command waits for input. From then on, no monitor checks whether the attempt waits for input,
    /// because the command knows this better. This also applies after a restart of the manager. The report has no effect
    /// unless the command is running.
    ///
    /// # Errors
    /// - [`EngineError::Invalid`] if the command runs on another node.
    /// - [`EngineError::NotFound`] for an unknown id.
    ///
    /// # Cancel safety
    /// The report continues if the future is dropped.
    pub async fn report_waiting_for_input(&self, id: ProcessId, waits: bool) -> Result<(), EngineError> {
        let core = self.core.clone();
        run_to_completion(async move { core.report_waiting_for_input(id, waits).await }).await
    }
}

impl EngineShared {
    async fn report_waiting_for_input(
        self: &Arc<Self>,
        id: ProcessId,
        waits: bool,
    ) -> Result<(), EngineError> {
        let stored = self.load(id).await?;
        if let Some(owner) = stored.owner.as_ref().filter(|owner| owner.node != *self.here()) {
            return Err(EngineError::Invalid {
                what: "report",
                why: format!("the command runs on node {}", owner.node),
                help: Some("report to the manager of that node".to_owned()),
            });
        }
        let attempt = stored.process.attempt;
        let at = self.parts.clock.now();
        if !reports_input(&stored.process.spec) {
            // First record that the command itself reports when it waits for input. Otherwise, the monitor of the next
            // manager could end the condition before the command reports again.
            let report = ProgressReport { reports_input: true, ..ProgressReport::default() };
            let observation = Observation::ProgressObserved { attempt, report, at };
            self.turn(id, &Input::Observation(observation), None).await?;
            self.write_vitals(id).await;
        }
        self.input_is_reported(AttemptKey { id, attempt });
        let condition = Condition::WaitingForInput;
        let observation = Observation::ConditionObserved { attempt, condition, holds: waits, at };
        self.turn(id, &Input::Observation(observation), None).await?;
        Ok(())
    }
}
