//! The tiny program that supervises one attempt of a process, and its protocol

mod attempt_directory;
mod channel;
mod clock;
mod containment;
mod exit;
mod frame;
mod identity;
mod launch;
mod notice;
mod order;
mod output;
mod plan;
mod program;
mod reason;
mod record;
mod status;

pub use attempt_directory::{AttemptDirectory, AttemptFileError, EXIT, IDENTITY, LOCK, SOCKET};
pub use channel::{ATTEMPT_ARGUMENT, MOST_DESCRIPTORS, SHIM_VARIABLE, receive, send, start};
pub use containment::{AllowedContainment, Containment};
pub use exit::{Ending, ExitRecord, SpawnStage};
pub use frame::{Field, Fields, Frame, FrameBuffer, FrameWriter, LONGEST_FRAME, ProtocolError};
pub use identity::Identity;
pub use launch::{Environment, Launch, Leftovers, OutputBound, ResourceLimit, StdinSource};
pub use notice::{Descriptor, ErrorCode, Notice, Welcome};
pub use order::{Hello, Order, PROTOCOL_VERSION, SignalTarget, StopOrder};
pub use output::{Chunk, Entries, IndexEntry, OutputLog, Run, Stream};
pub use plan::{LONGEST_PLAN, StopPlan, StopStep};
pub use program::{main, run_if_asked};
pub use reason::StopReason;
pub use record::{LONGEST_RECORD, RecordError};
pub use status::{Phase, Status};
