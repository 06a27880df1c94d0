//! The inputs of the transition table, one for each column.

use longhaul_domain::{
    Action, AttemptNo, Condition, Containment, Exit, ExitCircumstances, ExitStatus, Input, Interruption,
    JsonText, NodeId, Observation, PendingAction, Priority, Process, Progress, ProgressReport,
    ProgressSource, ReportedOutcome, SessionPolicy, Signal, SignalTarget, Stage, StartFailure, StartStage,
    State, StopCause, TestDoubt, TestReport, TestTally, Timestamp, Usage,
};
use std::time::Duration;

/// Names of the columns of the transition table. Each name stands for one kind of input.
pub(crate) const COLUMNS: [&str; 59] = [
    "progress",
    "report_outcome",
    "complete",
    "fail",
    "cancel",
    "force",
    "pause",
    "resume",
    "signal",
    "restart",
    "retry_now",
    "terminate",
    "terminate_now",
    "prioritize",
    "end_session",
    "end_session_keep",
    "end_session_cancel",
    "end_session_grace",
    "wished_cancel",
    "claimed",
    "orphaned",
    "node_lost",
    "spawned",
    "spawn_failed",
    "never_ran",
    "already_ran",
    "exited_0",
    "exited_1",
    "exited_timeout",
    "exited_cancelled",
    "supervisor_lost",
    "heartbeat_missed",
    "descendants_ended",
    "pause_failed",
    "tick",
    "ready",
    "ready_over",
    "idle",
    "idle_over",
    "stalled",
    "waits_for_input",
    "output_matched",
    "outcome_read",
    "tests_counted",
    "tests_reported",
    "progress_found",
    "claimed_stale",
    "spawned_stale",
    "spawn_failed_stale",
    "never_ran_stale",
    "exited_stale",
    "supervisor_lost_stale",
    "pause_failed_stale",
    "idle_stale",
    "output_matched_stale",
    "outcome_read_stale",
    "tests_counted_stale",
    "tests_reported_stale",
    "progress_found_stale",
];

/// Returns the inputs of a column. A normal column has one input about the current attempt. A column whose name ends in
/// `_stale` has inputs about two other attempts.
pub(crate) fn column(name: &str, process: &Process) -> Vec<Input> {
    let present = process.attempt;
    let Some(fresh) = name.strip_suffix("_stale") else {
        let attempt = if name == "claimed" { present.next() } else { present };
        return vec![input_to(process, name, attempt)];
    };
    let before = AttemptNo(present.0.saturating_sub(1));
    let others = if fresh == "claimed" {
        [present, before]
    } else if before == present {
        [present.next(), present.next().next()]
    } else {
        [before, present.next()]
    };
    others.map(|attempt| input_to(process, fresh, attempt)).to_vec()
}

/// Returns the input with this name for `attempt`. If `process` is being stopped, an exit happens after the start of the
/// stop.
pub(crate) fn input_to(process: &Process, name: &str, attempt: AttemptNo) -> Input {
    let mut input = input(name, attempt);
    if let Input::Observation(Observation::Exited { exit, .. }) = &mut input
        && let State::Stopping { since, .. } = &process.state
    {
        exit.at = exit.at.max(*since);
    }
    input
}

/// Returns the input with this name for `attempt`.
pub(crate) fn input(name: &str, attempt: AttemptNo) -> Input {
    let cause = StopCause::User;
    match name {
        "progress" => asked(Action::Progress(ProgressReport {
            stage: Some(Stage::new("linking").unwrap()),
            ..ProgressReport::default()
        })),
        "report_outcome" => asked(Action::ReportOutcome(ReportedOutcome {
            result: JsonText::checked("[1]".to_owned()).ok(),
            error: Some("no rows".to_owned()),
            ..ReportedOutcome::default()
        })),
        "complete" => asked(Action::Complete { result: None }),
        "fail" => asked(Action::Fail { error: "out of memory".to_owned() }),
        "cancel" => asked(Action::Cancel { cause }),
        "force" => asked(Action::Force { cause }),
        "pause" => asked(Action::Pause),
        "resume" => asked(Action::Resume),
        "signal" => asked(Action::Signal { signal: Signal::new(10).unwrap(), target: SignalTarget::Main }),
        "restart" => asked(Action::Restart),
        "retry_now" => asked(Action::RetryNow),
        "terminate" => asked(Action::Terminate { cause, force: false }),
        "terminate_now" => asked(Action::Terminate { cause, force: true }),
        "prioritize" => asked(Action::Prioritize { priority: Priority::new(7).unwrap() }),
        "end_session" => asked(Action::EndSession { policy: None }),
        "end_session_keep" => asked(Action::EndSession { policy: Some(SessionPolicy::Keep) }),
        "end_session_cancel" => asked(Action::EndSession { policy: Some(SessionPolicy::Cancel) }),
        "end_session_grace" => asked(Action::EndSession { policy: Some(SessionPolicy::Grace(GRACE)) }),
        "wished_cancel" => seen(Observation::ActionRequested(PendingAction::Cancel { cause })),
        "claimed" => seen(Observation::Claimed { attempt, node: NodeId::new("here").unwrap() }),
        "orphaned" => seen(Observation::OwnerLost),
        "node_lost" => seen(Observation::NodeLost { why: Interruption::Reboot }),
        "spawned" => seen(Observation::Spawned {
            attempt,
            pid: Some(4711),
            containment: Some(Containment::Cgroup),
            at: Timestamp(77),
        }),
        "spawn_failed" => seen(Observation::SpawnFailed {
            attempt,
            failure: StartFailure {
                stage: StartStage::Program,
                errno: Some(2),
                detail: "no such program".to_owned(),
            },
        }),
        "never_ran" => seen(Observation::NeverRan { attempt }),
        "already_ran" => seen(Observation::AlreadyRan {
            attempt,
            earlier: AttemptNo(attempt.0.saturating_sub(1)),
            exit: Some(exit(ExitStatus::Code(7), None)),
        }),
        "exited" | "exited_0" => exited(attempt, ExitStatus::Code(0), None),
        "exited_1" => exited(attempt, ExitStatus::Code(1), None),
        "exited_timeout" => exited(attempt, TERMINATED, Some(StopCause::Timeout)),
        "exited_cancelled" => exited(attempt, TERMINATED, Some(StopCause::User)),
        "supervisor_lost" => seen(Observation::SupervisorLost {
            attempt,
            why: Interruption::SupervisorKilled {
                evidence: "the lock is free".to_owned(),
                unverified: false,
            },
        }),
        "heartbeat_missed" => seen(Observation::HeartbeatMissed { last: Timestamp(5) }),
        "descendants_ended" => seen(Observation::DescendantsEnded),
        "pause_failed" => seen(Observation::PauseFailed { attempt }),
        "ready" => noticed(attempt, Condition::Ready, true),
        "ready_over" => noticed(attempt, Condition::Ready, false),
        "idle" => noticed(attempt, Condition::Idle, true),
        "idle_over" => noticed(attempt, Condition::Idle, false),
        "stalled" => noticed(attempt, Condition::Stalled, true),
        "waits_for_input" => noticed(attempt, Condition::WaitingForInput, true),
        "cleaning_up" => noticed(attempt, Condition::CleaningUp, true),
        "supervisor_stopped" => noticed(attempt, Condition::SupervisorStopped, true),
        "supervisor_stopped_over" => noticed(attempt, Condition::SupervisorStopped, false),
        "output_matched" => seen(Observation::OutputMatched {
            attempt,
            pattern: "errors".to_owned(),
            offset: 12,
            line: "error: no space left".to_owned(),
            at: Timestamp(99),
        }),
        "outcome_read" => seen(Observation::OutcomeRead {
            attempt,
            outcome: ReportedOutcome { error: Some("read".to_owned()), ..ReportedOutcome::default() },
            stage: None,
        }),
        "tests_counted" => seen(Observation::TestsCounted {
            attempt,
            tally: TestTally { total: 2, passed: 2, ..TestTally::default() },
        }),
        "tests_reported" => seen(Observation::TestsReported { attempt, report: Box::new(test_report()) }),
        "progress_found" => seen(Observation::ProgressObserved {
            attempt,
            report: ProgressReport {
                progress: Some(Progress::DONE),
                source: ProgressSource::Output,
                ..ProgressReport::default()
            },
            at: Timestamp(99),
        }),
        "tick" => Input::Tick,
        other => panic!("no input is called {other:?}"),
    }
}

/// Returns test results that give a reason to doubt the success of the run.
pub(crate) fn test_report() -> TestReport {
    TestReport {
        framework: Some("pytest".to_owned()),
        source: Some("plugin".to_owned()),
        doubt: Some(TestDoubt { kind: "no_tests".to_owned(), message: "no test ran".to_owned() }),
        complete: true,
        ..TestReport::default()
    }
}

/// Returns the observation that a condition started (`holds`) or ended.
pub(crate) const fn noticed(attempt: AttemptNo, condition: Condition, holds: bool) -> Input {
    seen(Observation::ConditionObserved { attempt, condition, holds, at: Timestamp(99) })
}

/// Returns the observation that an attempt exited.
pub(crate) fn exited(attempt: AttemptNo, status: ExitStatus, stopped: Option<StopCause>) -> Input {
    seen(Observation::Exited { attempt, exit: exit(status, stopped) })
}

/// Returns an exit with default values for all fields except the status and the stop that caused it.
pub(crate) const fn exit(status: ExitStatus, stopped: Option<StopCause>) -> Exit {
    Exit {
        status,
        at: Timestamp(88),
        stopped,
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

/// Grace period that a process has after the end of its session.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

const TERMINATED: ExitStatus = ExitStatus::Signal { number: 15, core: false };

const fn asked(command: Action) -> Input {
    Input::Action(command)
}

const fn seen(observation: Observation) -> Input {
    Input::Observation(observation)
}
