//! The status of an attempt, as its shim reports it.

use crate::{
    containment::Containment,
    frame::{ControlFrame, FrameWriter, ProtocolError},
    message,
    reason::StopReason,
};

/// Status of a running attempt at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStatus {
    /// Phase of the attempt.
    pub phase: AttemptPhase,
    /// Pid of the program; zero if there is no child yet.
    pub pid: u32,
    /// Number of output bytes that were stored.
    pub output_bytes: u64,
    /// Total time for which the tree was paused, in milliseconds.
    pub paused_ms: u64,
    /// Pids of processes that are still alive although they were sent SIGKILL; at most 64.
    pub survivors: Vec<u32>,
    /// Reason for the stop; `None` if the attempt is not being stopped.
    pub reason: Option<StopReason>,
    /// Containment mechanism of the attempt.
    pub mechanism: Containment,
    /// True if a signal has stopped the program itself. A pause or another process may have sent the signal.
    pub leader_stopped: bool,
    /// Pids of living managers that have sent a hello. They and the processes that they start are not part of the tree.
    pub managers: Vec<u32>,
}

/// Phase of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptPhase {
    /// The program has not been executed yet.
    Launching,
    /// The program runs.
    Running,
    /// The process tree is paused.
    Paused,
    /// The process tree is being stopped.
    Stopping,
    /// The program has ended.
    Ended,
}

const PHASES: [(AttemptPhase, u64); 5] = [
    (AttemptPhase::Launching, 1),
    (AttemptPhase::Running, 2),
    (AttemptPhase::Paused, 3),
    (AttemptPhase::Stopping, 4),
    (AttemptPhase::Ended, 5),
];

mod tag {
    pub(super) const PHASE: u8 = 1;
    pub(super) const PID: u8 = 2;
    pub(super) const OUTPUT: u8 = 3;
    pub(super) const PAUSED: u8 = 4;
    pub(super) const SURVIVOR: u8 = 5;
    pub(super) const REASON: u8 = 6;
    pub(super) const MECHANISM: u8 = 7;
    pub(super) const LEADER_STOPPED: u8 = 8;
    pub(super) const MANAGER: u8 = 9;
}

impl AttemptStatus {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let phase = PHASES.iter().find(|(each, _)| *each == self.phase).map_or(0, |(_, number)| *number);
        let mut frame = FrameWriter::new(message::STATUS);
        frame
            .number(tag::PHASE, phase)
            .number(tag::PID, u64::from(self.pid))
            .number(tag::OUTPUT, self.output_bytes)
            .number(tag::PAUSED, self.paused_ms)
            .bytes(tag::MECHANISM, self.mechanism.word().as_bytes())
            .flag(tag::LEADER_STOPPED, self.leader_stopped);
        if let Some(reason) = self.reason {
            frame.number(tag::REASON, u64::from(reason.code()));
        }
        for pid in &self.survivors {
            frame.number(tag::SURVIVOR, u64::from(*pid));
        }
        for pid in &self.managers {
            frame.number(tag::MANAGER, u64::from(*pid));
        }
        frame.finish()
    }

    pub(crate) fn decode(frame: &ControlFrame) -> Result<Self, ProtocolError> {
        let mut phase = None;
        let mut status = Self {
            phase: AttemptPhase::Launching,
            pid: 0,
            output_bytes: 0,
            paused_ms: 0,
            survivors: Vec::new(),
            reason: None,
            mechanism: Containment::Group,
            leader_stopped: false,
            managers: Vec::new(),
        };
        for field in frame.fields() {
            let field = field?;
            match field.tag() {
                tag::PHASE => {
                    let number = field.number()?;
                    phase = PHASES.iter().find(|(_, each)| *each == number).map(|(phase, _)| *phase);
                }
                tag::PID => status.pid = field.small()?,
                tag::OUTPUT => status.output_bytes = field.number()?,
                tag::PAUSED => status.paused_ms = field.number()?,
                tag::SURVIVOR => status.survivors.push(field.small()?),
                tag::REASON => status.reason = Some(StopReason::from_code(field.number()?)),
                tag::MECHANISM => {
                    status.mechanism = Containment::from_word(field.text()?).ok_or_else(|| field.bad())?;
                }
                tag::MANAGER => status.managers.push(field.small()?),
                tag::LEADER_STOPPED => status.leader_stopped = field.flag()?,
                _ => {}
            }
        }
        status.phase = phase.ok_or(ProtocolError::Missing { tag: tag::PHASE })?;
        Ok(status)
    }
}
