//! What a scripted child does.

use longhaul_domain::{ExitStatus, Interruption, StartFailure, StartStage};
use std::time::Duration;

/// What a scripted child does, from the order to start it until its end. Spans count awake time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildScript {
    /// How its start is answered.
    pub answer: StartBehavior,
    /// The time from the order to that answer.
    pub answered_after: Duration,
    /// What it writes to its standard output as soon as it runs.
    pub prints: Vec<u8>,
    /// What it does once it runs.
    pub course: RunBehavior,
    /// What it does when it is asked to end.
    pub obedience: StopBehavior,
    /// What it does with its standard input.
    pub reads: StdinBehavior,
    /// The ports on which it listens, each so long after its start.
    pub listens: Vec<(u16, Duration)>,
}

/// What a child does with its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdinBehavior {
    /// It never reads.
    #[default]
    Never,
    /// It waits for something to be written, and reads no more then.
    Once,
    /// It writes to its standard output whatever is written to it, and exits with code 0 at the end.
    Echoes,
}

/// How a start is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartBehavior {
    /// It runs.
    Spawned,
    /// The order itself is refused.
    Refused(StartFailure),
    /// The order is taken, the start fails.
    Failed(StartFailure),
    /// It provably never ran.
    NeverRan,
    /// There is no answer, until it is stopped.
    Silence,
}

/// What a child does once it runs, if it is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunBehavior {
    /// It exits by itself.
    Exits {
        /// So long after its start.
        after: Duration,
        /// In this way.
        status: ExitStatus,
    },
    /// It runs until it is stopped.
    Runs,
    /// Its supervisor is lost, and its end is never seen.
    Lost {
        /// So long after its start.
        after: Duration,
        /// Why.
        why: Interruption,
    },
}

/// What a child does when it is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBehavior {
    /// It ends by the signal, so long afterwards.
    Ends {
        /// This long.
        after: Duration,
    },
    /// It goes on until it is killed.
    OnlyKill,
    /// Not even KILL ends it.
    Never,
}

impl ChildScript {
    /// It runs until it is stopped, and ends at once when it is asked to.
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

    /// It exits with a code so long after its start.
    #[must_use]
    pub fn exits(after: Duration, code: i32) -> Self {
        Self { course: RunBehavior::Exits { after, status: ExitStatus::Code(code) }, ..Self::runs() }
    }

    /// It runs until it is killed.
    #[must_use]
    pub fn ignores_term() -> Self {
        Self { obedience: StopBehavior::OnlyKill, ..Self::runs() }
    }

    /// Its program cannot be executed.
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

    /// It provably never ran.
    #[must_use]
    pub fn never_runs() -> Self {
        Self { answer: StartBehavior::NeverRan, ..Self::runs() }
    }

    /// Its supervisor is killed so long after its start, and nobody sees its end.
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

    /// The same with a start that takes so long.
    #[must_use]
    pub fn starting_slowly(self, answered_after: Duration) -> Self {
        Self { answered_after, ..self }
    }

    /// The same with this on its standard output.
    #[must_use]
    pub fn printing(self, text: &str) -> Self {
        Self { prints: text.as_bytes().to_vec(), ..self }
    }

    /// The same, but it takes so long to end when it is asked to.
    #[must_use]
    pub fn ending_slowly(self, after: Duration) -> Self {
        Self { obedience: StopBehavior::Ends { after }, ..self }
    }

    /// Reads a script from the words of a command line, so that a test can write the child into its launch:
    /// `exit CODE [MS]`, `sleep MS`, `run`, `stubborn`, `undying`, `missing`, `never`, `lost MS`, `slow MS`, `echo WORD…`, `ask`, `cat`,
    /// `serve PORT [MS]`.
    ///
    /// Anything else runs until it is stopped.
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
