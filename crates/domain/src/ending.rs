//! How a process ended, with the evidence for it.

use crate::first_error::FirstError;
use crate::json::JsonText;
use crate::status::Status;
use crate::time::Timestamp;
use std::time::Duration;

/// The end of a process: what it is called, and why it is called that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did what it was there for.
    Completed {
        /// How the command exited; none for reported work.
        exit: Option<Exit>,
        /// What the reporter handed over.
        result: Option<JsonText>,
    },
    /// It did not.
    Failed {
        /// What went wrong.
        failure: Failure,
    },
    /// Its time was over and it was stopped.
    Timeout {
        /// How it exited then.
        exit: Option<Exit>,
    },
    /// It was stopped, or never started, because someone asked.
    Cancelled {
        /// Who asked.
        by: StopCause,
        /// How it exited then; none if it never ran, and for reported work.
        exit: Option<Exit>,
    },
    /// Its end was not seen.
    Interrupted {
        /// Why it was not seen.
        why: Interruption,
    },
}

impl Ending {
    /// The status it leaves behind.
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

    /// How the command exited, if that is known.
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

    /// What the moment of the end tells.
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

    /// Whether nobody could verify that the tree of the command is empty.
    #[must_use]
    pub const fn is_unverified(&self) -> bool {
        match (self, self.exit()) {
            (Self::Interrupted { why: Interruption::SupervisorKilled { unverified, .. } }, _) => *unverified,
            // Whoever lost the record does not know either who belongs to the tree.
            (Self::Interrupted { why: Interruption::RecordLost { .. } }, _) => true,
            (_, Some(exit)) => exit.circumstances.unverified,
            (_, None) => false,
        }
    }

    /// Who or what ended it; none if it never ran, or if a reporter tells of it.
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

/// What the moment of an end tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndTimePrecision {
    /// It ended then.
    Exact,
    /// It ended then or before: nobody saw it end.
    Latest,
    /// It was given up then: nobody knows whether it has ended.
    DeclaredLost,
}

/// Who or what ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// It returned, or crashed by a fault of its own.
    Itself,
    /// A stop of ours.
    Stop(StopCause),
    /// A limit.
    Limit(ExceededLimit),
    /// A signal that no stop of ours sent.
    Outside,
}

impl EndedBy {
    /// The word for it.
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

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command exited with another code than 0, or by a signal that nobody of ours sent.
    Exit(Exit),
    /// The command could not be started.
    Start(StartFailure),
    /// Five attempts in a row provably never ran.
    NeverRan {
        /// How many.
        times: u32,
    },
    /// The reporter said so.
    Reported {
        /// In these words.
        error: String,
    },
}

/// Why a command could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// The step that failed.
    pub stage: StartStage,
    /// The operating system's error number, if it gave one.
    pub errno: Option<i32>,
    /// What was tried and what is nearest to it, for people.
    pub detail: String,
}

/// The steps of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStage {
    /// Making the attempt's directory and starting its supervisor.
    Supervisor,
    /// Making sure that it was launched by somebody who may.
    Signature,
    /// Finding the captured environment.
    Environment,
    /// Finding the program.
    Program,
    /// Entering the working directory.
    Directory,
    /// Opening its standard input.
    Stdin,
    /// Setting its resource limits.
    Limits,
    /// Executing it.
    Exec,
}

impl StartStage {
    /// The word for it.
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

/// How a command exited, as its supervisor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Code or signal.
    pub status: ExitStatus,
    /// When.
    pub at: Timestamp,
    /// The stop that was under way when it exited, as the supervisor knew it.
    pub stopped: Option<StopCause>,
    /// The last signal that was needed to end the tree, if it was stopped.
    pub last_signal: Option<u8>,
    /// Descendants that had to be killed after the command itself was gone.
    pub leftovers_killed: u32,
    /// Descendants that were alive when the command exited by itself.
    pub leftovers_found: u32,
    /// The limit that ended it, as far as that can be told.
    pub limit: Option<ExceededLimit>,
    /// What it used.
    pub usage: Usage,
    /// Bytes of output that were written to the log.
    pub output_bytes: u64,
    /// Bytes of output that could not be kept, because the disk was full or failing.
    pub dropped_bytes: u64,
    /// When the command began, as far as its supervisor knew: the end may be the first that is heard of it.
    pub started_at: Option<Timestamp>,
    /// What was the case when it ended.
    pub circumstances: ExitCircumstances,
    /// First error in the output of a command that failed by itself, if the output states one.
    pub first_error: Option<Box<FirstError>>,
}

impl Exit {
    /// An exit at this moment, of which nothing more is known.
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

/// What was the case when a command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCircumstances {
    /// It was paused.
    pub paused: bool,
    /// Somebody still held its output open when its end was told: what they write later is not kept for long.
    pub output_open: bool,
    /// No manager was there to see it.
    pub exit_unobserved: bool,
    /// Nobody saw the moment: the command ended then or before.
    pub end_time_unknown: bool,
    /// Nobody could verify that its tree is empty.
    pub unverified: bool,
}

impl ExitCircumstances {
    /// Nothing remarkable.
    pub const PLAIN: Self = Self {
        paused: false,
        output_open: false,
        exit_unobserved: false,
        end_time_unknown: false,
        unverified: false,
    };
}

impl Exit {
    /// Who or what ended it, as far as code, signal and supervisor tell.
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

/// Whether a signal comes of what a program itself does: QUIT and all others are sent.
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

/// Code or signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The code it exited with.
    Code(i32),
    /// The signal that ended it.
    Signal {
        /// Its number.
        number: u8,
        /// Whether a core was dumped.
        core: bool,
    },
}

/// A limit that ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceededLimit {
    /// Its processor time was over.
    Cpu,
    /// The kernel ended it for want of memory: its own limit, or the machine's.
    Memory,
    /// It wrote a file that was larger than allowed.
    FileSize,
}

impl ExceededLimit {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::FileSize => "file_size",
        }
    }
}

/// What the whole tree of an attempt uses at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Processes alive.
    pub processes: u32,
    /// Processor time, of those that ended as well as far as that is known.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Bytes read from storage; none where that is not told.
    pub read: Option<u64>,
    /// Bytes written to storage; none where that is not told.
    pub written: Option<u64>,
    /// What keeps it within its limits.
    pub limited_by: LimitMechanism,
}

/// What keeps an attempt within its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitMechanism {
    /// Each of its processes by itself (`setrlimit`).
    #[default]
    Rlimit,
    /// The tree as a whole where a controller is delegated (memory, number of processes); each process for the rest.
    Cgroup,
}

impl LimitMechanism {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rlimit => "rlimit",
            Self::Cgroup => "cgroup",
        }
    }
}

/// What the command of an attempt used up, with those of its descendants that it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in its own code.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The largest resident memory of one process, in bytes.
    pub peak_memory: u64,
}

/// Who or what asked for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A person or a program.
    User,
    /// The timeout of the process.
    Timeout,
    /// The end of its parent.
    Parent,
    /// The end of its session.
    Session,
    /// The shutdown of the manager.
    Shutdown,
    /// A limit of ours: the lease of its node is over, and it may run elsewhere.
    Limit,
}

impl StopCause {
    /// The word for it.
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

/// Why an end was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The machine was started anew.
    Reboot,
    /// Its supervisor was killed.
    SupervisorKilled {
        /// What is known all the same.
        evidence: String,
        /// Nobody could verify that its tree is empty.
        unverified: bool,
    },
    /// Its node went away and its lease is over.
    NodeGone,
    /// The reporter gave no sign of life for its heartbeat.
    HeartbeatMissed {
        /// The last one.
        last: Timestamp,
    },
    /// What the node kept of the attempt is gone or damaged.
    RecordLost {
        /// What was found.
        found: String,
    },
}

impl Interruption {
    /// The word for it.
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
