//! The signals that ask a process to stop before everything is killed.

use crate::frame::{FrameField, FrameWriter, ProtocolError};

/// The most steps a plan may have.
pub const MAX_PLAN_STEPS: usize = 16;

/// What is sent to the whole tree, in order; SIGKILL follows by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPlan {
    /// The steps, first one first; none kills at once.
    pub steps: Vec<StopStep>,
}

impl Default for StopPlan {
    /// SIGTERM, then five seconds.
    fn default() -> Self {
        Self { steps: vec![StopStep { signal: libc::SIGTERM, wait_ms: 5_000 }] }
    }
}

/// One signal and the time it is given to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopStep {
    /// The number of the signal.
    pub signal: i32,
    /// How long to wait before the next step, in milliseconds.
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

/// Tells whether a number is one of the kernel's signals.
pub(crate) fn is_signal(number: i32) -> bool {
    (1..=64).contains(&number)
}
