//! The pure rules of longhaul.
//!
//! A [`Process`] is one managed piece of work. [`Process::decide`] reads it and an [`Input`] and returns a [`Step`]:
//! the [`Event`]s that become true and the [`Effect`]s that they call for. [`Process::evolve`] applies the events.
//! Nothing here reads a clock, draws a random number, or performs I/O: time, ids and chance are arguments, so the
//! same script gives the same steps, byte for byte.
//!
//! ```
//! use longhaul_domain::{Capabilities, Chance, Command, Context, Input, Lineage, Process, ProcessId, Spec};
//! use longhaul_domain::{Awake, ReportedSpec, Status, Timestamp, Vitals, Work};
//! use std::sync::Arc;
//!
//! let ctx = Context { now: Timestamp(0), awake: Awake(0), chance: Chance(0), capabilities: Capabilities::ALL };
//! let spec = Spec::of(Work::Reported(ReportedSpec::default()));
//! let id = ProcessId::new(uuid::Uuid::from_u128(1));
//! let (mut process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::new(spec));
//! let done = Input::Command(Command::Complete { result: None });
//! let step = process.decide(&ctx, &Vitals::default(), &done).unwrap();
//! process.evolve(&step.events);
//! assert_eq!(process.status(), Status::Completed);
//! ```

pub mod admission;
mod attention;
mod condition;
mod decide;
mod effect;
mod ending;
mod event;
mod evolve;
mod id;
mod input;
mod json;
mod lineage;
mod policy;
mod process;
mod process_type;
mod progress;
mod rejection;
mod retention;
mod retry;
mod seal;
mod signal;
mod spec;
mod state;
mod status;
mod time;

pub use attention::{ReadyWhen, SilencePolicy, WatchPattern, WatchSource};
pub use condition::{Condition, Conditions};
pub use effect::{Effect, Note, Step};
pub use ending::{
    Blame, Circumstances, Dating, Ending, ExceededLimit, Exit, ExitStatus, Failure, Interruption,
    LimitMechanism, StartFailure, StartStage, StopCause, TreeUsage, Usage,
};
pub use event::{Event, Fact};
pub use id::{
    AgentId, AgentType, AttemptNo, Capability, Epoch, InvalidText, LONGEST_NAME, LaunchKey, Level, NodeId,
    OpId, PolicyVersion, Priority, ProcessId, ProcessName, ProjectName, Revision, Seq, SessionId, SlotKey,
    Stage, TypeName, WishNo,
};
pub use input::{Capabilities, Command, Context, Input, Observation, Verb, Wish};
pub use json::{JsonText, JsonTooLarge, LARGEST_JSON};
pub use lineage::Lineage;
pub use policy::{Configured, Hold, Policy, TreeLimits};
pub use process::{Cascade, Head, MOST_NEVER_RAN, Process};
pub use process_type::ProcessType;
pub use progress::{InvalidProgress, Pace, Progress, Report, Vitals};
pub use rejection::Rejection;
pub use retention::Retention;
pub use retry::{Chance, RetryPolicy};
pub use seal::Seal;
pub use signal::{NoSignal, Signal, SignalTarget};
pub use spec::{
    AgentFacts, ChildrenPolicy, CommandSpec, Environment, EnvironmentHash, Leftovers, OutputBound, Placement,
    ReportedSpec, ResourceLimits, SessionPolicy, Spec, Stdin, StopPolicy, Work,
};
pub use state::{Containment, Ended, Execution, LateExit, Lingering, Pending, RestTold, State, Urgency};
pub use status::{Standing, Status, UnknownStatus};
pub use time::{Awake, Deadline, Timestamp, millis};
