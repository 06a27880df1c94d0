//! Messages from the shim to its peers.

use crate::{
    exit::ExitRecord,
    frame::{ControlFrame, FrameBuffer, FrameField, FrameWriter, MAX_FRAME_LEN, ProtocolError},
    identity::Identity,
    status::AttemptStatus,
};

const HELLO: u8 = 0x81;
const STARTED: u8 = 0x82;
const REFUSED: u8 = 0x83;
pub(crate) const STATUS: u8 = 0x84;
const PAUSED: u8 = 0x85;
const RESUMED: u8 = 0x86;
const EXITED: u8 = 0x87;
const ERROR: u8 = 0x88;
const SIGNALED: u8 = 0x89;
const INPUT_CLOSED: u8 = 0x8a;
const WITH_DESCRIPTORS: u8 = 0x8b;

/// One message from the shim to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShimMessage {
    /// Answer to a hello.
    Hello(ShimWelcome),
    /// The program is waiting at its gate. The file descriptors that `descriptors` names, in this order, accompany the
    /// first byte of the message.
    ///
    /// Only the peer that sent the launch receives this message. With the descriptors it can read all output, even if
    /// the shim is killed as soon as the program starts.
    Handed {
        /// Meaning of each accompanying file descriptor.
        descriptors: Vec<Descriptor>,
    },
    /// The program runs. The file descriptors that `descriptors` names, in this order, accompany the first byte of the
    /// message. A peer that received `Handed` already has the descriptors.
    Started {
        /// Identity of the attempt.
        identity: Box<Identity>,
        /// Meaning of each accompanying file descriptor.
        descriptors: Vec<Descriptor>,
    },
    /// The shim refuses the launch: it runs no command, and exits.
    Refused {
        /// Description of the problem, for human readers.
        why: String,
        /// Error number of the operating system; `None` if the cause was not a system error.
        errno: Option<i32>,
    },
    /// Status of the attempt. The shim sends it on request and when the status changes.
    Status(Box<AttemptStatus>),
    /// The process tree is paused.
    Paused {
        /// Number of processes that the pause has stopped.
        stopped: u64,
        /// Number of processes that were still running when the shim gave up stopping them.
        missed: u64,
    },
    /// The process tree was resumed.
    Resumed,
    /// The attempt ended.
    ///
    /// The shim sends this message again when the record changes, and when the record becomes durable.
    Exited {
        /// Exit record of the attempt.
        record: Box<ExitRecord>,
        /// True if any version of this exit record is durable in the attempt directory. If false, the shim tries again
        /// to write the record, and then sends the message again.
        durable: bool,
    },
    /// A request was not executed.
    Error {
        /// Kind of the error.
        code: ErrorCode,
        /// Description of the problem, for human readers.
        text: String,
    },
    /// Answer to a signal request: the signal was sent.
    Signaled {
        /// Number of processes that received the signal.
        reached: u64,
    },
    /// Answer to a request to close the input: the shim no longer holds the input pipe of the command open. The answer
    /// is the same if there was no input pipe.
    InputClosed,
}

/// Answer of the shim to a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimWelcome {
    /// Version of the protocol that the shim uses.
    pub version: u64,
    /// Names of the features that the shim supports, in addition to the messages that never change.
    pub capabilities: Vec<String>,
    /// Id of the managed process, as text; empty before the launch.
    pub process: String,
    /// Number of the attempt; zero before the launch.
    pub attempt: u64,
    /// Pid of the shim.
    pub shim_pid: u32,
}

/// Meaning of a file descriptor that accompanies a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// A pidfd of the program.
    Pidfd,
    /// The read end of the pipe that is the program's standard output.
    Stdout,
    /// The read end of the pipe that is the program's standard error.
    Stderr,
}

/// Reason why a request was not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request cannot be decoded.
    Malformed,
    /// The current state does not allow the request; a second launch is an example.
    Illegal,
    /// The kind of the request is unknown.
    Unknown,
    /// The operating system returned an error.
    System,
    /// The exit record could not be written durably; the shim will retry.
    NotDurable,
}

const CODES: [(ErrorCode, u64); 5] = [
    (ErrorCode::Malformed, 1),
    (ErrorCode::Illegal, 2),
    (ErrorCode::Unknown, 3),
    (ErrorCode::System, 4),
    (ErrorCode::NotDurable, 5),
];

mod tag {
    pub(super) const VERSION: u8 = 1;
    pub(super) const CAPABILITY: u8 = 2;
    pub(super) const PROCESS: u8 = 3;
    pub(super) const ATTEMPT: u8 = 4;
    pub(super) const SHIM_PID: u8 = 5;
    pub(super) const RECORD: u8 = 1;
    pub(super) const DESCRIPTORS: u8 = 2;
    pub(super) const DURABLE: u8 = 2;
    pub(super) const TEXT: u8 = 1;
    pub(super) const CODE: u8 = 2;
    pub(super) const ERRNO: u8 = 2;
    pub(super) const FIRST_COUNT: u8 = 1;
    pub(super) const SECOND_COUNT: u8 = 2;
}

impl ShimMessage {
    /// Encodes the message as one frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(welcome) => encode_hello(welcome),
            Self::Handed { descriptors } => {
                FrameWriter::new(WITH_DESCRIPTORS).bytes(tag::DESCRIPTORS, &codes_of(descriptors)).finish()
            }
            Self::Started { identity, descriptors } => {
                let mut frame = FrameWriter::new(STARTED);
                frame.bytes(tag::RECORD, &identity.encode());
                frame.bytes(tag::DESCRIPTORS, &codes_of(descriptors)).finish()
            }
            Self::Refused { why, errno } => {
                let mut frame = FrameWriter::new(REFUSED);
                frame.bytes(tag::TEXT, why.as_bytes());
                if let Some(errno) = errno {
                    frame.number(tag::ERRNO, u64::from(errno.unsigned_abs()));
                }
                frame.finish()
            }
            Self::Status(status) => status.encode(),
            Self::Paused { stopped, missed } => {
                let mut frame = FrameWriter::new(PAUSED);
                frame.number(tag::FIRST_COUNT, *stopped).number(tag::SECOND_COUNT, *missed).finish()
            }
            Self::Resumed => FrameWriter::new(RESUMED).finish(),
            Self::InputClosed => FrameWriter::new(INPUT_CLOSED).finish(),
            Self::Exited { record, durable } => {
                let mut frame = FrameWriter::new(EXITED);
                frame.bytes(tag::RECORD, &record.encode()).flag(tag::DURABLE, *durable).finish()
            }
            Self::Error { code, text } => {
                let mut frame = FrameWriter::new(ERROR);
                frame.bytes(tag::TEXT, text.as_bytes()).number(tag::CODE, code.number()).finish()
            }
            Self::Signaled { reached } => {
                FrameWriter::new(SIGNALED).number(tag::FIRST_COUNT, *reached).finish()
            }
        }
    }

    /// Decodes a frame. Returns `None` for a message kind that only a later version knows; the receiver must skip such
    /// a message.
    pub fn decode(frame: &ControlFrame) -> Result<Option<Self>, ProtocolError> {
        Ok(Some(match frame.kind() {
            HELLO => Self::Hello(decode_hello(frame)?),
            WITH_DESCRIPTORS => Self::Handed { descriptors: decode_descriptors(frame)? },
            STARTED => decode_started(frame)?,
            REFUSED => {
                let errno = find(frame, tag::ERRNO)?.map(|field| field.small()).transpose()?;
                Self::Refused { why: text_of(frame)?, errno }
            }
            STATUS => Self::Status(Box::new(AttemptStatus::decode(frame)?)),
            PAUSED => {
                let stopped = number_of(frame, tag::FIRST_COUNT)?.unwrap_or(0);
                Self::Paused { stopped, missed: number_of(frame, tag::SECOND_COUNT)?.unwrap_or(0) }
            }
            RESUMED => Self::Resumed,
            INPUT_CLOSED => Self::InputClosed,
            EXITED => decode_exited(frame)?,
            ERROR => {
                let code = number_of(frame, tag::CODE)?.unwrap_or(0);
                Self::Error { code: ErrorCode::from_number(code), text: text_of(frame)? }
            }
            SIGNALED => Self::Signaled { reached: number_of(frame, tag::FIRST_COUNT)?.unwrap_or(0) },
            _ => return Ok(None),
        }))
    }

    /// Decodes bytes that consist of exactly one frame of a known message kind. Any other content is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut buffer = FrameBuffer::new(MAX_FRAME_LEN);
        buffer.push(bytes);
        let frame = buffer.pull()?.ok_or(ProtocolError::Torn)?;
        Self::decode(&frame)?.ok_or(ProtocolError::BadValue { tag: frame.kind() })
    }
}

impl Descriptor {
    fn code(self) -> u8 {
        match self {
            Self::Pidfd => 1,
            Self::Stdout => 2,
            Self::Stderr => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Pidfd, Self::Stdout, Self::Stderr].into_iter().find(|each| each.code() == code)
    }
}

impl ErrorCode {
    fn number(self) -> u64 {
        CODES.iter().find(|(code, _)| *code == self).map_or(0, |(_, number)| *number)
    }

    fn from_number(number: u64) -> Self {
        CODES.iter().find(|(_, each)| *each == number).map_or(Self::Unknown, |(code, _)| *code)
    }
}

fn encode_hello(welcome: &ShimWelcome) -> Vec<u8> {
    let mut frame = FrameWriter::new(HELLO);
    frame
        .number(tag::VERSION, welcome.version)
        .bytes(tag::PROCESS, welcome.process.as_bytes())
        .number(tag::ATTEMPT, welcome.attempt)
        .number(tag::SHIM_PID, u64::from(welcome.shim_pid));
    for capability in &welcome.capabilities {
        frame.bytes(tag::CAPABILITY, capability.as_bytes());
    }
    frame.finish()
}

fn decode_hello(frame: &ControlFrame) -> Result<ShimWelcome, ProtocolError> {
    let mut welcome =
        ShimWelcome { version: 1, capabilities: Vec::new(), process: String::new(), attempt: 0, shim_pid: 0 };
    for field in frame.fields() {
        let field = field?;
        match field.tag() {
            tag::VERSION => welcome.version = field.number()?,
            tag::CAPABILITY => welcome.capabilities.push(field.text()?.to_owned()),
            tag::PROCESS => field.text()?.clone_into(&mut welcome.process),
            tag::ATTEMPT => welcome.attempt = field.number()?,
            tag::SHIM_PID => welcome.shim_pid = field.small()?,
            _ => {}
        }
    }
    Ok(welcome)
}

fn decode_started(frame: &ControlFrame) -> Result<ShimMessage, ProtocolError> {
    let record = find(frame, tag::RECORD)?.ok_or(ProtocolError::Missing { tag: tag::RECORD })?;
    let identity = Box::new(Identity::decode(record.bytes()).map_err(|_| record.bad())?);
    Ok(ShimMessage::Started { identity, descriptors: decode_descriptors(frame)? })
}

fn codes_of(descriptors: &[Descriptor]) -> Vec<u8> {
    descriptors.iter().map(|each| each.code()).collect()
}

fn decode_descriptors(frame: &ControlFrame) -> Result<Vec<Descriptor>, ProtocolError> {
    let Some(field) = find(frame, tag::DESCRIPTORS)? else {
        return Ok(Vec::new());
    };
    field.bytes().iter().map(|code| Descriptor::from_code(*code).ok_or_else(|| field.bad())).collect()
}

fn decode_exited(frame: &ControlFrame) -> Result<ShimMessage, ProtocolError> {
    let field = find(frame, tag::RECORD)?.ok_or(ProtocolError::Missing { tag: tag::RECORD })?;
    let record = Box::new(ExitRecord::decode(field.bytes()).map_err(|_| field.bad())?);
    Ok(ShimMessage::Exited { record, durable: number_of(frame, tag::DURABLE)?.unwrap_or(0) != 0 })
}

fn find(frame: &ControlFrame, tag: u8) -> Result<Option<FrameField<'_>>, ProtocolError> {
    for field in frame.fields() {
        let field = field?;
        if field.tag() == tag {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

fn number_of(frame: &ControlFrame, tag: u8) -> Result<Option<u64>, ProtocolError> {
    find(frame, tag)?.map(|field| field.number()).transpose()
}

fn text_of(frame: &ControlFrame) -> Result<String, ProtocolError> {
    let field = find(frame, tag::TEXT)?;
    Ok(field.map_or_else(String::new, |field| String::from_utf8_lossy(field.bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{containment::Containment, reason::StopReason, status::AttemptPhase};

    fn every_notice() -> Vec<ShimMessage> {
        let identity = Identity {
            process: "p".to_owned(),
            attempt: 1,
            boot_id: "b".to_owned(),
            shim_pid: 2,
            shim_start: 3,
            pid: 4,
            start_time: 5,
            cgroup: None,
            mechanism: Containment::Subreaper,
            started_at: 6,
            wall: 7,
        };
        let status = AttemptStatus {
            phase: AttemptPhase::Stopping,
            pid: 4,
            output_bytes: 5,
            paused_ms: 6,
            survivors: vec![7, 8],
            reason: Some(StopReason::User),
            mechanism: Containment::Group,
            leader_stopped: true,
            managers: vec![9, 10],
        };
        vec![
            ShimMessage::Hello(ShimWelcome {
                version: 1,
                capabilities: vec!["pause".to_owned()],
                process: "p".to_owned(),
                attempt: 2,
                shim_pid: 3,
            }),
            ShimMessage::Started {
                identity: Box::new(identity),
                descriptors: vec![Descriptor::Pidfd, Descriptor::Stdout, Descriptor::Stderr],
            },
            ShimMessage::Handed { descriptors: vec![Descriptor::Pidfd, Descriptor::Stdout] },
            ShimMessage::Refused { why: "taken".to_owned(), errno: None },
            ShimMessage::Refused { why: "full".to_owned(), errno: Some(28) },
            ShimMessage::Status(Box::new(status)),
            ShimMessage::Paused { stopped: 3, missed: 1 },
            ShimMessage::Resumed,
            ShimMessage::InputClosed,
            ShimMessage::Exited { record: Box::new(ExitRecord::never_ran(1, 2)), durable: true },
            ShimMessage::Error { code: ErrorCode::Illegal, text: "no".to_owned() },
            ShimMessage::Signaled { reached: 2 },
        ]
    }

    #[test]
    fn every_notice_comes_back_as_it_was_sent() {
        for notice in every_notice() {
            assert_eq!(ShimMessage::from_bytes(&notice.encode()), Ok(notice));
        }
    }

    #[test]
    fn notice_cut_anywhere_or_with_any_byte_changed_never_panics() {
        for notice in every_notice() {
            let bytes = notice.encode();
            for cut in 0..bytes.len() {
                assert!(ShimMessage::from_bytes(&bytes[..cut]).is_err());
            }
            for place in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = bytes.clone();
                    changed[place] = value;
                    drop(ShimMessage::from_bytes(&changed));
                }
            }
        }
    }
}
