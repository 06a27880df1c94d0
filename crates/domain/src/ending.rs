//! How a process ended, with the evidence for it.

use crate::first_error::FirstError;
use crate::json::JsonText;
use crate::status::Status;
use crate::time::Timestamp;
use std::time::Duration;

/// How a process ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The work of the process succeeded.
    Completed {
        /// Exit of the command; `None` for reported work.
        exit: Option<Exit>,
        /// Result that the reporter sent.
        result: Option<JsonText>,
    },
    /// The work of the process failed.
    Failed {
        /// Reason for the failure.
        failure: Failure,
    },
    /// The process was stopped because its timeout expired.
    Timeout {
        /// Exit of the command.
        exit: Option<Exit>,
    },
    /// The process was stopped by a request, or removed from the queue by a request before its start.
    Cancelled {
        /// Cause of the request.
        by: StopCause,
        /// Exit of the command; `None` if no command ran, and for reported work.
        exit: Option<Exit>,
    },
    /// The end of the process was not observed.
    Interrupted {
        /// Reason why the end was not observed.
        why: Interruption,
    },
}

impl Ending {
    /// Returns the final status of a process with this ending.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Timeout { .. } => Status::Timeout,
            Self::Cancelled { .. } => Status::Cancelled,
            Self::Interrupted { .. } => Status::Interrupted,
        }
    }

    /// Returns the exit of the command, if it is known.
    #[must_use]
    pub const fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Completed { exit, .. } | Self::Timeout { exit } | Self::Cancelled { exit, .. } => {
                exit.as_ref()
            }
            Self::Failed { failure } => match failure {
                Failure::Exit(exit) => Some(exit),
                Failure::Start(_) | Failure::NeverRan { .. } | Failure::Reported { .. } => None,
            },
            Self::Interrupted { .. } => None,
        }
    }

    /// Returns how exactly the time of the end is known.
    #[must_use]
    pub const fn dating(&self) -> EndTimePrecision {
        match self {
            Self::Interrupted { why } => match why {
                Interruption::Reboot | Interruption::SupervisorKilled { .. } => EndTimePrecision::Latest,
                Interruption::NodeGone
                | Interruption::HeartbeatMissed { .. }
                | Interruption::RecordLost { .. } => EndTimePrecision::DeclaredLost,
            },
            Self::Completed { .. } | Self::Failed { .. } | Self::Timeout { .. } | Self::Cancelled { .. } => {
                match self.exit() {
                    Some(exit) if exit.circumstances.end_time_unknown => EndTimePrecision::Latest,
                    Some(_) | None => EndTimePrecision::Exact,
                }
            }
        }
    }

    /// Returns true if it is unknown whether the process tree of the command is empty.
    #[must_use]
    pub const fn is_unverified(&self) -> bool {
        match (self, self.exit()) {
            (Self::Interrupted { why: Interruption::SupervisorKilled { unverified, .. } }, _) => *unverified,
            // The spawner's record of the attempt is lost, so nothing is known about the processes of its tree.
            (Self::Interrupted { why: Interruption::RecordLost { .. } }, _) => true,
            (_, Some(exit)) => exit.circumstances.unverified,
            (_, None) => false,
        }
    }

    /// Returns the cause of the command's end. Returns `None` if no command ran, and for reported work.
    #[must_use]
    pub const fn blame(&self) -> Option<EndedBy> {
        match self {
            Self::Cancelled { by, .. } => Some(EndedBy::Stop(*by)),
            Self::Timeout { .. } => Some(EndedBy::Stop(StopCause::Timeout)),
            Self::Completed { exit: Some(exit), .. } | Self::Failed { failure: Failure::Exit(exit) } => {
                Some(exit.blame())
            }
            Self::Completed { exit: None, .. } | Self::Failed { .. } | Self::Interrupted { .. } => None,
        }
    }
}

/// How exactly the time of an end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndTimePrecision {
    /// The process ended at this time.
    Exact,
    /// The process ended at this time or earlier, because its end was not observed.
    Latest,
    /// The process was declared lost at this time. It may still be running.
    DeclaredLost,
}

/// The cause of a command's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The command exited by itself or crashed.
    Itself,
    /// longhaul stopped the command.
    Stop(StopCause),
    /// The command exceeded a resource limit.
    Limit(ExceededLimit),
    /// The command was ended by a signal that longhaul did not send.
    Outside,
}

impl EndedBy {
    /// Returns the name of the cause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Stop(cause) => cause.as_str(),
            Self::Limit(limit) => limit.as_str(),
            Self::Outside => "outside",
        }
    }
}

/// Reason for a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command exited with a code other than 0, or by a signal that longhaul did not send.
    Exit(Exit),
    /// The command could not be started.
    Start(StartFailure),
    /// Five consecutive attempts failed to run; it is certain that none of them executed the command.
    NeverRan {
        /// Number of consecutive attempts that never ran.
        times: u32,
    },
    /// The reporter reported a failure.
    Reported {
        /// Error message of the reporter.
        error: String,
    },
}

/// Reason why a command could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// Step of the start that failed.
    pub stage: StartStage,
    /// Error number of the operating system, if any.
    pub errno: Option<i32>,
    /// Description of the error, with the closest match if there is one; for people.
    pub detail: String,
}

/// The step of a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStage {
    /// The step that creates the attempt directory and starts the shim.
    Supervisor,
    /// The step that verifies the launch signature.
    Signature,
    /// The step that finds the captured environment.
    Environment,
    /// The step that finds the program.
    Program,
    /// The step that changes to the working directory.
    Directory,
    /// The step that opens the standard input.
    Stdin,
    /// The step that sets the resource limits.
    Limits,
    /// The step that executes the program.
    Exec,
}

impl StartStage {
    /// Returns the name of the step.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Signature => "signature",
            Self::Environment => "environment",
            Self::Program => "program",
            Self::Directory => "directory",
            Self::Stdin => "stdin",
            Self::Limits => "limits",
            Self::Exec => "exec",
        }
    }
}

/// Exit of a command, as its shim observed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of the command, or the signal that ended it.
    pub status: ExitStatus,
    /// Time of the exit.
    pub at: Timestamp,
    /// Stop that was in progress at the exit, according to the shim.
    pub stopped: Option<StopCause>,
    /// Last signal that was sent to end the process tree; `None` if the tree was not stopped.
    pub last_signal: Option<u8>,
    /// Number of descendants that were killed after the command had exited.
    pub leftovers_killed: u32,
    /// Number of descendants that were live when the command exited by itself.
    pub leftovers_found: u32,
    /// Limit that ended the command; `None` if none did or the limit is unknown.
    pub limit: Option<ExceededLimit>,
    /// Resource usage.
    pub usage: Usage,
    /// Number of output bytes that were written to the log.
    pub output_bytes: u64,
    /// Number of output bytes that were dropped because the disk was full or failed.
    pub dropped_bytes: u64,
    /// Start time of the command according to the shim. It is used if the exit is the first observation of the attempt.
    pub started_at: Option<Timestamp>,
    /// Special circumstances of the exit.
    pub circumstances: ExitCircumstances,
    /// First error in the output of a command that failed by itself, if the output states one.
    pub first_error: Option<Box<FirstError>>,
}

impl Exit {
    /// Creates an exit at this time, without further details.
    #[must_use]
    pub const fn of(status: ExitStatus, at: Timestamp) -> Self {
        Self {
            status,
            at,
            stopped: None,
            last_signal: None,
            leftovers_killed: 0,
            leftovers_found: 0,
            limit: None,
            usage: Usage { user: Duration::ZERO, system: Duration::ZERO, peak_memory: 0 },
            output_bytes: 0,
            dropped_bytes: 0,
            started_at: None,
            circumstances: ExitCircumstances::PLAIN,
            first_error: None,
        }
    }
}

/// The special circumstances of an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCircumstances {
    /// True if the command was paused at the exit.
    pub paused: bool,
    /// True if the command failed and longhaul did not search its whole output for the first error. The output may then
    /// contain an error that is not recorded.
    pub search_incomplete: bool,
    /// True if another process still had the output open at the exit. Output that this process writes later is stored
    /// only for a short time.
    pub output_open: bool,
    /// True if no manager was running at the exit.
    pub exit_unobserved: bool,
    /// True if the exit time was not observed: the command exited at the recorded time or earlier.
    pub end_time_unknown: bool,
    /// True if it is unknown whether the process tree is empty.
    pub unverified: bool,
}

impl ExitCircumstances {
    /// An exit without special circumstances.
    pub const PLAIN: Self = Self {
        paused: false,
        search_incomplete: false,
        output_open: false,
        exit_unobserved: false,
        end_time_unknown: false,
        unverified: false,
    };
}

impl Exit {
    /// Returns the cause of the command's end, derived from exit code, signal and the record of the shim.
    #[must_use]
    pub const fn blame(&self) -> EndedBy {
        match (self.stopped, self.limit, self.status) {
            (Some(cause), _, _) => EndedBy::Stop(cause),
            (None, Some(limit), _) => EndedBy::Limit(limit),
            (None, None, ExitStatus::Signal { number, .. }) if !is_fault(number) => EndedBy::Outside,
            (None, None, ExitStatus::Code(_) | ExitStatus::Signal { .. }) => EndedBy::Itself,
        }
    }
}

/// Returns true if the signal results from a fault of the program itself. Other signals, such as QUIT, are sent by
/// another process.
const fn is_fault(signal: u8) -> bool {
    const ILL_SIGNAL: u8 = 4;
    const TRAP: u8 = 5;
    const ABRT: u8 = 6;
    const BUS: u8 = 7;
    const FPE: u8 = 8;
    const SEGV: u8 = 11;
    const PIPE: u8 = 13;
    const ALRM: u8 = 14;
    const SYS: u8 = 31;
    matches!(signal, ILL_SIGNAL | TRAP | ABRT | BUS | FPE | SEGV | PIPE | ALRM | SYS)
}

/// Exit code of the command, or the signal that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Exit code.
    Code(i32),
    /// Signal that ended the command.
    Signal {
        /// Number of the signal.
        number: u8,
        /// True if a core dump was written.
        core: bool,
    },
}

/// Limit that ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceededLimit {
    /// The limit on CPU time.
    Cpu,
    /// The memory limit of the attempt, or the memory of the machine. In both cases, the kernel killed the command.
    Memory,
    /// The limit on the size of a file.
    FileSize,
}

impl ExceededLimit {
    /// Returns the name of the limit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::FileSize => "file_size",
        }
    }
}

/// Current resource usage of the process tree of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Number of live processes in the process tree.
    pub processes: u32,
    /// CPU time, including the time of ended processes as far as it is known.
    pub cpu: Duration,
    /// Resident memory of the process tree in bytes.
    pub memory: u64,
    /// Number of bytes read from storage. `None` if unknown.
    pub read: Option<u64>,
    /// Number of bytes written to storage. `None` if unknown.
    pub written: Option<u64>,
    /// Mechanism that enforces the resource limits of the attempt.
    pub limited_by: LimitMechanism,
}

/// Mechanism that enforces the limits of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitMechanism {
    /// Each process has its own limits (`setrlimit`).
    #[default]
    Rlimit,
    /// A control group limits the memory and the number of processes of the whole tree, as far as these controllers are
    /// delegated. The other limits apply to each process separately.
    Cgroup,
}

impl LimitMechanism {
    /// Returns the name of the mechanism.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rlimit => "rlimit",
            Self::Cgroup => "cgroup",
        }
    }
}

/// Resource usage of the command of an attempt, including the descendants that the command waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time that was used in user mode.
    pub user: Duration,
    /// CPU time that was used in kernel mode.
    pub system: Duration,
    /// Maximum resident memory of a single process, in bytes.
    pub peak_memory: u64,
}

/// Cause of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A person or a program requested the stop.
    User,
    /// The timeout of the process expired.
    Timeout,
    /// The parent ended.
    Parent,
    /// The session ended.
    Session,
    /// The manager shut down.
    Shutdown,
    /// The lease of the node expired, so the process may now run on another node.
    Limit,
}

impl StopCause {
    /// Returns the name of the cause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Timeout => "timeout",
            Self::Parent => "parent",
            Self::Session => "session",
            Self::Shutdown => "shutdown",
            Self::Limit => "limit",
        }
    }
}

/// Reason why an end was not observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The machine was rebooted.
    Reboot,
    /// The shim was killed.
    SupervisorKilled {
        /// Facts about the end that are known nevertheless.
        evidence: String,
        /// True if it is unknown whether the process tree is empty.
        unverified: bool,
    },
    /// The node is lost: its lease has expired.
    NodeGone,
    /// The reporter sent no heartbeat within the agreed interval.
    HeartbeatMissed {
        /// Time at which the last heartbeat arrived.
        last: Timestamp,
    },
    /// The attempt directory on the node is missing or damaged.
    RecordLost {
        /// Description of the facts that show the loss of the record.
        found: String,
    },
}

impl Interruption {
    /// Returns the name of the reason.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::SupervisorKilled { .. } => "supervisor_killed",
            Self::NodeGone => "node_gone",
            Self::HeartbeatMissed { .. } => "heartbeat_missed",
            Self::RecordLost { .. } => "record_lost",
        }
    }
}
