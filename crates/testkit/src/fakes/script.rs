//! Scripts that define the behaviour of simulated processes.

use longhaul_domain::{ExitStatus, Interruption, StartFailure, StartStage};
use std::time::Duration;

/// Behaviour of a scripted process, from the start request to its end. Durations count awake time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildScript {
    /// Result of the start request.
    pub answer: StartBehavior,
    /// Time from the start request to its result.
    pub answered_after: Duration,
    /// Text on standard output right after the start.
    pub prints: Vec<u8>,
    /// Behaviour after the start.
    pub course: RunBehavior,
    /// Reaction to a stop request.
    pub obedience: StopBehavior,
    /// Use of standard input.
    pub reads: StdinBehavior,
    /// Listening ports, each with the time after the start at which it opens.
    pub listens: Vec<(u16, Duration)>,
}

/// Use of standard input by a scripted process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdinBehavior {
    /// Standard input is never read.
    #[default]
    Never,
    /// The process waits for its first input and then reads no more input.
    Once,
    /// The process copies its input to standard output, and exits with code 0 when the input is closed.
    Echoes,
}

/// Result of a start request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartBehavior {
    /// The command runs.
    Spawned,
    /// The start request itself is refused.
    Refused(StartFailure),
    /// The start request is accepted, but the start fails.
    Failed(StartFailure),
    /// The start request is accepted. Later it becomes certain that the command never ran.
    NeverRan,
    /// There is no result until a stop is requested.
    Silence,
}

/// Behaviour of a running process that receives no requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunBehavior {
    /// The process exits on its own.
    Exits {
        /// Time from the start to the exit.
        after: Duration,
        /// Exit status.
        status: ExitStatus,
    },
    /// The process runs until it is stopped.
    Runs,
    /// The supervisor of the process is lost, and its exit is never observed.
    Lost {
        /// Time from the start to the loss.
        after: Duration,
        /// Reason of the loss.
        why: Interruption,
    },
}

/// Reaction of a process to a stop request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBehavior {
    /// The stop signal ends the process.
    Ends {
        /// Time from the signal to the end.
        after: Duration,
    },
    /// The process continues until it is killed.
    OnlyKill,
    /// The process survives even SIGKILL.
    Never,
}

impl ChildScript {
    /// Returns the script of a process that runs until it is stopped. The process ends immediately after a stop
    /// request.
    #[must_use]
    pub const fn runs() -> Self {
        Self {
            answer: StartBehavior::Spawned,
            answered_after: Duration::ZERO,
            prints: Vec::new(),
            course: RunBehavior::Runs,
            obedience: StopBehavior::Ends { after: Duration::ZERO },
            reads: StdinBehavior::Never,
            listens: Vec::new(),
        }
    }

    /// Returns the script of a process that exits with `code` after this time.
    #[must_use]
    pub fn exits(after: Duration, code: i32) -> Self {
        Self { course: RunBehavior::Exits { after, status: ExitStatus::Code(code) }, ..Self::runs() }
    }

    /// Returns the script of a process that ignores the stop signal. Only SIGKILL ends it.
    #[must_use]
    pub fn ignores_term() -> Self {
        Self { obedience: StopBehavior::OnlyKill, ..Self::runs() }
    }

    /// Returns the script of a process whose program cannot be executed.
    #[must_use]
    pub fn fails_to_start() -> Self {
        Self {
            answer: StartBehavior::Failed(StartFailure {
                stage: StartStage::Exec,
                errno: Some(2),
                detail: "no such program".to_owned(),
            }),
            ..Self::runs()
        }
    }

    /// Returns the script of a process that certainly never ran.
    #[must_use]
    pub fn never_runs() -> Self {
        Self { answer: StartBehavior::NeverRan, ..Self::runs() }
    }

    /// Returns a script whose supervisor is killed after the given time, so that the exit of the command is not
    /// observed.
    #[must_use]
    pub fn is_lost(after: Duration) -> Self {
        Self {
            course: RunBehavior::Lost {
                after,
                why: Interruption::SupervisorKilled {
                    evidence: "the script says so".to_owned(),
                    unverified: false,
                },
            },
            ..Self::runs()
        }
    }

    /// Delays the result of the start.
    #[must_use]
    pub fn starting_slowly(self, answered_after: Duration) -> Self {
        Self { answered_after, ..self }
    }

    /// Adds text that the process writes to standard output right after its start.
    #[must_use]
    pub fn printing(self, text: &str) -> Self {
        Self { prints: text.as_bytes().to_vec(), ..self }
    }

    /// Delays the end of the process after a stop request.
    #[must_use]
    pub fn ending_slowly(self, after: Duration) -> Self {
        Self { obedience: StopBehavior::Ends { after }, ..self }
    }

    /// Reads a script from the words of a command line. A test can therefore write the script into its launch command:
    /// `exit CODE [MS]`, `sleep MS`, `run`, `stubborn`, `undying`, `missing`, `never`, `lost MS`, `slow MS`, `echo
    /// WORD…`, `ask`, `cat`, `serve PORT [MS]`. `MS` is a time in milliseconds.
    ///
    /// Any other command runs until it is stopped.
    #[must_use]
    pub fn of_words(program: &str, args: &[String]) -> Self {
        let number = |place: usize| -> u64 { args.get(place).and_then(|arg| arg.parse().ok()).unwrap_or(0) };
        let span = |place: usize| Duration::from_millis(number(place));
        match program {
            "exit" => Self::exits(span(1), args.first().and_then(|arg| arg.parse().ok()).unwrap_or(0)),
            "sleep" => Self::exits(span(0), 0),
            "stubborn" => Self::ignores_term(),
            "undying" => Self { obedience: StopBehavior::Never, ..Self::runs() },
            "missing" => Self::fails_to_start(),
            "never" => Self::never_runs(),
            "lost" => Self::is_lost(span(0)),
            "slow" => Self::runs().starting_slowly(span(0)),
            "ask" => Self { reads: StdinBehavior::Once, ..Self::runs() },
            "cat" => Self { reads: StdinBehavior::Echoes, ..Self::runs() },
            "serve" => {
                let port = u16::try_from(number(0)).unwrap_or_default();
                Self { listens: vec![(port, span(1))], ..Self::runs() }
            }
            "echo" => Self::exits(Duration::ZERO, 0).printing(&format!("{}\n", args.join(" "))),
            _ => Self::runs(),
        }
    }
}
