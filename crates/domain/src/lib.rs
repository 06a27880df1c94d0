//! The lifecycle rules of longhaul, as pure functions.
//!
//! A [`Process`] is one managed piece of work. [`Process::decide`] reads a process and an [`Input`] and returns a
//! [`Decision`]: the [`Event`]s that follow and the [`Effect`]s that they require. [`Process::evolve`] applies the
//! events.
//!
//! This crate reads no clock, draws no random numbers and performs no I/O: time, ids and random bits are arguments. The
//! same inputs therefore always give the same results.
//!
//! ```
//! use longhaul_domain::{Capabilities, RandomBits, Action, DecisionContext, Input, Lineage, Process, ProcessId, Spec};
//! use longhaul_domain::{AwakeTime, ReportedSpec, Status, Timestamp, LiveStats, Work};
//! use std::sync::Arc;
//!
//! let ctx = DecisionContext { now: Timestamp(0), awake: AwakeTime(0), chance: RandomBits(0), capabilities: Capabilities::ALL };
//! let spec = Spec::of(Work::Reported(ReportedSpec::default()));
//! let id = ProcessId::new(uuid::Uuid::from_u128(1));
//! let (mut process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::new(spec));
//! let done = Input::Action(Action::Complete { result: None });
//! let step = process.decide(&ctx, &LiveStats::default(), &done).unwrap();
//! process.evolve(&step.events);
//! assert_eq!(process.status(), Status::Completed);
//! ```

pub mod admission;
mod artifact_list;
mod artifact_pattern;
mod condition;
mod decide;
mod effect;
mod ending;
mod event;
mod evolve;
mod first_error;
mod id;
mod input;
mod json;
mod launch_signature;
mod lineage;
mod monitoring;
mod outcome;
mod policy;
mod process;
mod process_type;
mod progress;
mod rejection;
mod retention;
mod retry;
mod runner;
mod signal;
mod spec;
mod state;
mod status;
mod test_report;
mod time;

pub use artifact_list::{Artifact, ArtifactList, ArtifactProblem, ArtifactSkipReason, SkippedArtifact};
pub use artifact_pattern::{ArtifactPattern, PatternProgress};
pub use condition::{Condition, Conditions};
pub use effect::{Decision, Effect, NoOpReason};
pub use ending::{
    EndTimePrecision, EndedBy, Ending, ExceededLimit, Exit, ExitCircumstances, ExitStatus, Failure,
    Interruption, LimitMechanism, StartFailure, StartStage, StopCause, TreeUsage, Usage,
};
pub use event::{Event, Fact};
pub use first_error::{FirstError, PortHolder};
pub use id::{
    ActionSeq, AgentId, AgentType, AttemptNo, Capability, Epoch, InvalidText, LaunchKey, Level, MAX_NAME_LEN,
    NodeId, OpId, PolicyVersion, Priority, ProcessId, ProcessName, ProjectName, Revision, Seq, SessionId,
    SlotKey, Stage, TypeName,
};
pub use input::{Action, ActionKind, Capabilities, DecisionContext, Input, Observation, PendingAction};
pub use json::{JsonText, JsonTooLarge, MAX_JSON_BYTES};
pub use launch_signature::LaunchSignature;
pub use lineage::Lineage;
pub use monitoring::{ProgressDetection, ReadyWhen, SilencePolicy, WatchPattern, WatchSource};
pub use outcome::{ReportedOutcome, TokenCounts};
pub use policy::{ConfiguredLimits, Policy, QueueHold, TreeLimits};
pub use process::{Cascade, MAX_NEVER_RAN, Process, ProcessHeader};
pub use process_type::ProcessType;
pub use progress::{
    EtaSource, InvalidProgress, LiveStats, Progress, ProgressRate, ProgressReport, ProgressSource,
    ReportedEta,
};
pub use rejection::Rejection;
pub use retention::Retention;
pub use retry::{RandomBits, RetryPolicy};
pub use runner::{AgentOutputFormat, RunnerChoice};
pub use signal::{InvalidSignal, Signal, SignalTarget};
pub use spec::{
    AgentDescriptor, ChildrenPolicy, CommandSpec, EnvironmentHash, EnvironmentSpec, Leftovers, OutputBound,
    Placement, ReportedSpec, ResourceLimits, SessionPolicy, Spec, Stdin, StopPolicy, Work,
};
pub use state::{
    AwaitingChildren, Containment, Ended, Execution, LateExit, OrphanStop, Pending, State, StopPhase,
};
pub use status::{SlotState, Status, UnknownStatus};
pub use test_report::{
    MAX_NAMED_FAILED_TESTS, NamedFailure, TestDoubt, TestReport, TestReporting, TestTally,
};
pub use time::{AwakeTime, Deadline, Timestamp, millis};
