//! Requests from a peer to the shim.

use crate::{
    frame::{ControlFrame, FrameBuffer, FrameWriter, MAX_FRAME_LEN, ProtocolError},
    launch::{self, LaunchOrder},
    plan::{StopPlan, is_signal},
    reason::StopReason,
};

/// Version of the protocol that this library uses.
pub const PROTOCOL_VERSION: u64 = 1;

const HELLO: u8 = 1;
const STATUS: u8 = 3;
const STOP: u8 = 4;
const SIGNAL: u8 = 5;
const PAUSE: u8 = 6;
const RESUME: u8 = 7;
const ACKNOWLEDGE: u8 = 8;
const CLOSE_INPUT: u8 = 9;

/// One request from a peer to the shim.
///
/// The form of hello, status, stop, signal and acknowledge is the same in every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShimRequest {
    /// Introduces the peer. From then on, the shim reports every change on this connection.
    Hello(ShimHello),
    /// Runs the attempt. Only one launch is allowed, and only on the first connection.
    Launch(Box<LaunchOrder>),
    /// Requests the status of the attempt.
    Status,
    /// Stops the whole process tree.
    Stop(ShimStopRequest),
    /// Sends a signal to the program or to the whole tree.
    Signal {
        /// Number of the signal to send.
        signal: i32,
        /// Processes that receive the signal.
        target: SignalTarget,
    },
    /// Pauses the whole process tree.
    Pause,
    /// Resumes the whole process tree.
    Resume,
    /// Confirms that the peer has stored the exit record, so that the shim may exit.
    Acknowledge,
    /// Closes the shim's end of the input pipe. The input of the command ends as soon as all other writers have closed
    /// the pipe too.
    CloseInput,
}

/// Introduction of a peer to the shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimHello {
    /// Version of the protocol that the peer uses.
    pub version: u64,
    /// True if the peer requests the started message with its descriptors.
    pub want_descriptors: bool,
    /// True if the peer is a manager. A manager and its children are never part of the command's tree, even if the
    /// command started the manager.
    pub manager: bool,
}

impl Default for ShimHello {
    fn default() -> Self {
        Self { version: PROTOCOL_VERSION, want_descriptors: false, manager: true }
    }
}

/// Parameters of a stop request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimStopRequest {
    /// Reason for the stop.
    pub reason: StopReason,
    /// Stop plan that replaces the plan of the launch; `None` to use the plan of the launch.
    pub plan: Option<StopPlan>,
    /// True to send SIGKILL immediately, without executing a stop plan.
    pub force: bool,
}

impl ShimStopRequest {
    /// Creates a stop that uses the stop plan of the launch.
    pub fn new(reason: StopReason) -> Self {
        Self { reason, plan: None, force: false }
    }
}

/// Processes that receive a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalTarget {
    /// The program that was launched.
    Leader,
    /// The program and all its descendants.
    Tree,
}

mod tag {
    pub(super) const VERSION: u8 = 1;
    pub(super) const WANT_DESCRIPTORS: u8 = 2;
    pub(super) const MANAGER: u8 = 3;
    pub(super) const REASON: u8 = 1;
    pub(super) const FORCE: u8 = 2;
    pub(super) const STEP: u8 = 3;
    pub(super) const KILL_NOW: u8 = 4;
    pub(super) const SIGNAL: u8 = 1;
    pub(super) const TREE: u8 = 2;
}

impl ShimRequest {
    /// Returns the number that identifies the kind of the request.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Launch(_) => launch::KIND,
            Self::Status => STATUS,
            Self::Stop(_) => STOP,
            Self::Signal { .. } => SIGNAL,
            Self::Pause => PAUSE,
            Self::Resume => RESUME,
            Self::Acknowledge => ACKNOWLEDGE,
            Self::CloseInput => CLOSE_INPUT,
        }
    }

    /// Encodes the request as one frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = FrameWriter::new(self.kind());
        match self {
            Self::Hello(hello) => frame
                .number(tag::VERSION, hello.version)
                .flag(tag::WANT_DESCRIPTORS, hello.want_descriptors)
                .flag(tag::MANAGER, hello.manager)
                .finish(),
            Self::Launch(launch) => launch.encode(),
            Self::Stop(stop) => {
                frame.number(tag::REASON, u64::from(stop.reason.code())).flag(tag::FORCE, stop.force);
                if let Some(plan) = &stop.plan {
                    // Send this flag, because an empty plan could not be distinguished from an absent plan without it.
                    frame.flag(tag::KILL_NOW, plan.steps.is_empty());
                    plan.encode(&mut frame, tag::STEP);
                }
                frame.finish()
            }
            Self::Signal { signal, target } => frame
                .number(tag::SIGNAL, u64::from(signal.unsigned_abs()))
                .flag(tag::TREE, *target == SignalTarget::Tree)
                .finish(),
            Self::Status | Self::Pause | Self::Resume | Self::Acknowledge | Self::CloseInput => {
                frame.finish()
            }
        }
    }

    /// Decodes a frame. Returns `None` for a request kind that only a later version knows. The receiver must answer
    /// such a request with an error and skip the frame.
    pub fn decode(frame: &ControlFrame) -> Result<Option<Self>, ProtocolError> {
        Ok(Some(match frame.kind() {
            HELLO => Self::Hello(decode_hello(frame)?),
            launch::KIND => Self::Launch(Box::new(LaunchOrder::decode(frame)?)),
            STATUS => Self::Status,
            STOP => Self::Stop(decode_stop(frame)?),
            SIGNAL => decode_signal(frame)?,
            PAUSE => Self::Pause,
            RESUME => Self::Resume,
            ACKNOWLEDGE => Self::Acknowledge,
            CLOSE_INPUT => Self::CloseInput,
            _ => return Ok(None),
        }))
    }

    /// Decodes bytes that consist of exactly one frame of a known request kind. Any other content is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut buffer = FrameBuffer::new(MAX_FRAME_LEN);
        buffer.push(bytes);
        let frame = buffer.pull()?.ok_or(ProtocolError::Torn)?;
        Self::decode(&frame)?.ok_or(ProtocolError::BadValue { tag: frame.kind() })
    }
}

fn decode_hello(frame: &ControlFrame) -> Result<ShimHello, ProtocolError> {
    let mut hello = ShimHello { version: 1, want_descriptors: false, manager: false };
    for field in frame.fields() {
        let field = field?;
        match field.tag() {
            tag::VERSION => hello.version = field.number()?,
            tag::WANT_DESCRIPTORS => hello.want_descriptors = field.flag()?,
            tag::MANAGER => hello.manager = field.flag()?,
            _ => {}
        }
    }
    Ok(hello)
}

fn decode_stop(frame: &ControlFrame) -> Result<ShimStopRequest, ProtocolError> {
    let mut stop = ShimStopRequest::new(StopReason::Other);
    for field in frame.fields() {
        let field = field?;
        match field.tag() {
            tag::REASON => stop.reason = StopReason::from_code(field.number()?),
            tag::FORCE => stop.force = field.flag()?,
            tag::KILL_NOW => {
                stop.plan.get_or_insert(StopPlan { steps: Vec::new() });
            }
            tag::STEP => {
                let plan = stop.plan.get_or_insert(StopPlan { steps: Vec::new() });
                plan.push_encoded(&field)?;
            }
            _ => {}
        }
    }
    Ok(stop)
}

fn decode_signal(frame: &ControlFrame) -> Result<ShimRequest, ProtocolError> {
    let mut number = None;
    let mut target = SignalTarget::Leader;
    for field in frame.fields() {
        let field = field?;
        match field.tag() {
            tag::SIGNAL => {
                let signal = field.small()?;
                number = Some(if is_signal(signal) {
                    signal
                } else {
                    return Err(field.bad());
                });
            }
            tag::TREE if field.flag()? => target = SignalTarget::Tree,
            _ => {}
        }
    }
    let signal = number.ok_or(ProtocolError::Missing { tag: tag::SIGNAL })?;
    Ok(ShimRequest::Signal { signal, target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        containment::{AllowedContainment, Containment},
        launch::{Leftovers, OutputBound, ResourceLimit, StdinSource},
        plan::StopStep,
    };

    fn full_launch() -> LaunchOrder {
        let mut launch = LaunchOrder::new("0b8e", 3, "/bin/echo");
        launch.arguments.push("two words".into());
        launch.environment.0.push("A=b=c".into());
        launch.directory = "/tmp".into();
        launch.stdin = StdinSource::File("/etc/hostname".into());
        launch.timeout_ms = 17;
        launch.stop_plan = StopPlan {
            steps: vec![StopStep { signal: 2, wait_ms: 2_000 }, StopStep { signal: 15, wait_ms: 5_000 }],
        };
        launch.output = OutputBound { head: 1, tail: 2, rotate: true };
        launch.cgroup = Some("/sys/fs/cgroup/x".into());
        launch.containment = AllowedContainment::Only(Containment::Group);
        launch.limits.push(ResourceLimit { resource: 7, soft: 10, hard: u64::MAX });
        launch.anchor_ms = 99;
        launch.boot_id = "boot".into();
        launch.sync_parents = 2;
        launch.leftovers = Leftovers::Keep;
        launch.progress = true;
        launch
    }

    fn every_order() -> Vec<ShimRequest> {
        let plan = |steps: Vec<StopStep>| Some(StopPlan { steps });
        vec![
            ShimRequest::Hello(ShimHello { version: 9, want_descriptors: true, manager: false }),
            ShimRequest::Launch(Box::new(full_launch())),
            ShimRequest::Launch(Box::new(LaunchOrder { stdin: StdinSource::Pipe, ..full_launch() })),
            ShimRequest::Status,
            ShimRequest::Stop(ShimStopRequest { reason: StopReason::Parent, plan: None, force: true }),
            ShimRequest::Stop(ShimStopRequest {
                reason: StopReason::User,
                plan: plan(Vec::new()),
                force: false,
            }),
            ShimRequest::Stop(ShimStopRequest {
                reason: StopReason::User,
                plan: plan(vec![StopStep { signal: 2, wait_ms: 1 }]),
                force: false,
            }),
            ShimRequest::Signal { signal: 10, target: SignalTarget::Tree },
            ShimRequest::Pause,
            ShimRequest::Resume,
            ShimRequest::Acknowledge,
            ShimRequest::CloseInput,
        ]
    }

    #[test]
    fn every_request_is_decoded_unchanged() {
        for order in every_order() {
            assert_eq!(ShimRequest::from_bytes(&order.encode()), Ok(order));
        }
    }

    #[test]
    fn truncated_or_changed_request_never_causes_a_panic() {
        for order in every_order() {
            let bytes = order.encode();
            for cut in 0..bytes.len() {
                assert!(ShimRequest::from_bytes(&bytes[..cut]).is_err());
            }
            for place in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = bytes.clone();
                    changed[place] = value;
                    drop(ShimRequest::from_bytes(&changed));
                }
            }
        }
    }

    #[test]
    fn unknown_field_is_skipped_and_unknown_kind_is_reported() {
        let mut frame = FrameWriter::new(STOP);
        let bytes = frame.number(tag::REASON, 1).bytes(200, b"later").finish();
        assert_eq!(
            ShimRequest::from_bytes(&bytes),
            Ok(ShimRequest::Stop(ShimStopRequest::new(StopReason::User)))
        );
        let mut buffer = FrameBuffer::new(100);
        buffer.push(&FrameWriter::new(99).finish());
        assert_eq!(ShimRequest::decode(&buffer.pull().unwrap().unwrap()), Ok(None));
    }

    #[test]
    fn signal_that_does_not_exist_is_refused() {
        for signal in [0, 65, 4_000] {
            let bytes = ShimRequest::Signal { signal, target: SignalTarget::Leader }.encode();
            assert_eq!(ShimRequest::from_bytes(&bytes), Err(ProtocolError::BadValue { tag: tag::SIGNAL }));
        }
    }
}
