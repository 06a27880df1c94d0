//! How an attempt is doing, as its shim sees it.

use crate::{
    containment::Containment,
    frame::{ControlFrame, FrameWriter, ProtocolError},
    message,
    reason::StopReason,
};

/// A snapshot of a running attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStatus {
    /// Where it is in its life.
    pub phase: AttemptPhase,
    /// The pid of the program; zero before there is one.
    pub pid: u32,
    /// How many bytes of output were stored.
    pub output_bytes: u64,
    /// How long it has been paused in all, in milliseconds.
    pub paused_ms: u64,
    /// The pids that are still alive though they were killed; at most 64 of them.
    pub survivors: Vec<u32>,
    /// Why it is being stopped, if it is.
    pub reason: Option<StopReason>,
    /// The mechanism in force.
    pub mechanism: Containment,
    /// The program itself is stopped, by a pause or by somebody else.
    pub leader_stopped: bool,
    /// The pids of managers that have introduced themselves and still live; they and what they start are no part of it.
    pub managers: Vec<u32>,
}

/// Where an attempt is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptPhase {
    /// The program is not executed yet.
    Launching,
    /// It runs.
    Running,
    /// It is held.
    Paused,
    /// It is being stopped.
    Stopping,
    /// It ended.
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
