//! The stop plan: signals that request a process tree to stop before it is killed.

use crate::frame::{FrameField, FrameWriter, ProtocolError};

/// Maximum number of steps in a stop plan.
pub const MAX_PLAN_STEPS: usize = 16;

/// Signals that are sent to the whole process tree, in order. After the last step, the shim sends SIGKILL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPlan {
    /// Steps in the order of execution. If the list is empty, the shim sends SIGKILL immediately.
    pub steps: Vec<StopStep>,
}

impl Default for StopPlan {
    /// Returns the stop plan that sends SIGTERM and then waits five seconds.
    fn default() -> Self {
        Self { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 5_000 }] }
    }
}

/// Step of a stop plan: a signal, and the time that the processes have to react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopStep {
    /// Number of the signal that this step sends.
    pub signal: i32,
    /// Delay before the next step, in milliseconds.
    pub wait_ms: u64,
}

impl StopPlan {
    pub(crate) fn encode(&self, frame: &mut FrameWriter, tag: u8) {
        for step in &self.steps {
            let mut bytes = step.signal.to_le_bytes().to_vec();
            bytes.extend_from_slice(&step.wait_ms.to_le_bytes());
            frame.bytes(tag, &bytes);
        }
    }

    pub(crate) fn push_encoded(&mut self, field: &FrameField<'_>) -> Result<(), ProtocolError> {
        let step = StopStep::decode(field.bytes()).ok_or_else(|| field.bad())?;
        if self.steps.len() >= MAX_PLAN_STEPS || !is_signal(step.signal) {
            return Err(field.bad());
        }
        self.steps.push(step);
        Ok(())
    }
}

impl StopStep {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (signal, rest) = bytes.split_first_chunk::<4>()?;
        let wait = rest.first_chunk::<8>()?;
        Some(Self { signal: i32::from_le_bytes(*signal), wait_ms: u64::from_le_bytes(*wait) })
    }
}

/// Returns true if a number is a valid Linux signal number.
pub(crate) fn is_signal(number: i32) -> bool {
    (1..=64).contains(&number)
}
