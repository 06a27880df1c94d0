//! Generators for the inputs of a process.

use super::specs::{moment, priority, session_policies, span};
use crate::suite::must;
use longhaul_domain::{
    Action, AttemptNo, Condition, Containment, Ending, ExceededLimit, Exit, ExitCircumstances, ExitStatus,
    Failure, FirstError, Input, Interruption, JsonText, LiveStats, NamedFailure, NodeId, Observation,
    PendingAction, PortHolder, Progress, ProgressRate, ProgressReport, ProgressSource, ReportedEta,
    ReportedOutcome, Signal, SignalTarget, Stage, StartFailure, StartStage, StopCause, TestDoubt, TestReport,
    TestTally, TokenCounts, Usage,
};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use std::time::Duration;

/// Generates actions, observations and ticks.
pub fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => commands().prop_map(Input::Action),
        6 => observations().prop_map(Input::Observation),
        1 => Just(Input::Tick),
    ]
}

/// Generates all kinds of actions.
pub fn commands() -> impl Strategy<Value = Action> {
    prop_oneof![
        reports().prop_map(Action::Progress),
        outcomes().prop_map(Action::ReportOutcome),
        option::of(result()).prop_map(|result| Action::Complete { result }),
        "[a-z ]{0,12}".prop_map(|error| Action::Fail { error }),
        cause().prop_map(|cause| Action::Cancel { cause }),
        cause().prop_map(|cause| Action::Force { cause }),
        Just(Action::Pause),
        Just(Action::Resume),
        Just(Action::Restart),
        Just(Action::RetryNow),
        (cause(), any::<bool>()).prop_map(|(cause, force)| Action::Terminate { cause, force }),
        (signal(), signal_target()).prop_map(|(signal, target)| Action::Signal { signal, target }),
        priority().prop_map(|priority| Action::Prioritize { priority }),
        option::of(session_policies()).prop_map(|policy| Action::EndSession { policy }),
    ]
}

/// Generates all kinds of observations. Their attempt numbers are small.
pub fn observations() -> impl Strategy<Value = Observation> {
    prop_oneof![
        3 => (attempt(), "[a-c]").prop_map(|(attempt, node)| {
            let node = must(NodeId::new(&node));
            Observation::Claimed { attempt, node }
        }),
        1 => Just(Observation::OwnerLost),
        1 => pending_actions().prop_map(Observation::ActionRequested),
        3 => (attempt(), option::of(any::<u32>()), option::of(containment()), moment()).prop_map(
            |(attempt, pid, containment, at)| Observation::Spawned { attempt, pid, containment, at }
        ),
        1 => (attempt(), start_failure())
            .prop_map(|(attempt, failure)| Observation::SpawnFailed { attempt, failure }),
        1 => attempt().prop_map(|attempt| Observation::NeverRan { attempt }),
        1 => (attempt(), attempt(), option::of(exits())).prop_map(|(attempt, earlier, exit)| {
            Observation::AlreadyRan { attempt, earlier, exit }
        }),
        3 => (attempt(), exits()).prop_map(|(attempt, exit)| Observation::Exited { attempt, exit }),
        1 => (attempt(), interruption())
            .prop_map(|(attempt, why)| Observation::SupervisorLost { attempt, why }),
        1 => interruption().prop_map(|why| Observation::NodeLost { why }),
        1 => moment().prop_map(|last| Observation::HeartbeatMissed { last }),
        1 => Just(Observation::DescendantsEnded),
        1 => attempt().prop_map(|attempt| Observation::PauseFailed { attempt }),
        3 => (attempt(), conditions(), any::<bool>(), moment()).prop_map(
            |(attempt, condition, holds, at)| Observation::ConditionObserved { attempt, condition, holds, at }
        ),
        1 => (attempt(), "[a-z]{1,8}", any::<u32>(), "[ -~]{0,40}", moment()).prop_map(
            |(attempt, pattern, offset, line, at)| Observation::OutputMatched {
                attempt,
                pattern,
                offset: u64::from(offset),
                line,
                at,
            }
        ),
        1 => (attempt(), outcomes(), option::of(stage()))
            .prop_map(|(attempt, outcome, stage)| Observation::OutcomeRead { attempt, outcome, stage }),
        1 => (attempt(), tallies())
            .prop_map(|(attempt, tally)| Observation::TestsCounted { attempt, tally }),
        1 => (attempt(), test_reports())
            .prop_map(|(attempt, report)| Observation::TestsReported { attempt, report }),
        2 => (attempt(), reports(), source(), moment()).prop_map(|(attempt, report, source, at)| {
            Observation::ProgressObserved { attempt, report: ProgressReport { source, ..report }, at }
        }),
    ]
}

/// Generates conditions that a live process can have.
pub fn conditions() -> impl Strategy<Value = Condition> {
    proptest::sample::select(Condition::ALL.to_vec())
}

/// Generates pending actions for the owner of a process.
pub fn pending_actions() -> impl Strategy<Value = PendingAction> {
    prop_oneof![
        cause().prop_map(|cause| PendingAction::Cancel { cause }),
        cause().prop_map(|cause| PendingAction::Force { cause }),
        Just(PendingAction::Pause),
        Just(PendingAction::Resume),
        Just(PendingAction::RetryNow),
        (cause(), any::<bool>()).prop_map(|(cause, force)| PendingAction::Terminate { cause, force }),
        (signal(), signal_target()).prop_map(|(signal, target)| PendingAction::Signal { signal, target }),
        option::of(session_policies()).prop_map(|policy| PendingAction::EndSession { policy }),
    ]
}

fn signal() -> impl Strategy<Value = Signal> {
    (1_u8..=64).prop_filter_map("it is sent", |number| Signal::new(number).ok())
}

fn signal_target() -> impl Strategy<Value = SignalTarget> {
    proptest::sample::select(vec![SignalTarget::Main, SignalTarget::Tree])
}

/// Generates the results and errors that a command can report.
fn outcomes() -> impl Strategy<Value = ReportedOutcome> {
    let tokens = any::<[u32; 3]>().prop_map(|counts| {
        let [input, output, cached] = counts.map(u64::from);
        TokenCounts { input, output, cached }
    });
    let session = option::of("[0-9a-f-]{1,36}");
    (option::of(result()), option::of("[a-z ]{1,12}"), option::of(tokens), session).prop_map(
        |(result, error, tokens, agent_session)| ReportedOutcome { result, error, tokens, agent_session },
    )
}

/// Generates progress reports of a worker.
pub fn reports() -> impl Strategy<Value = ProgressReport> {
    (option::of(progress()), option::of(stage()), option::of(remaining())).prop_map(
        |(progress, stage, eta)| ProgressReport { progress, stage, eta, ..ProgressReport::default() },
    )
}

fn source() -> impl Strategy<Value = ProgressSource> {
    proptest::sample::select(vec![ProgressSource::Worker, ProgressSource::Output, ProgressSource::History])
}

fn remaining() -> impl Strategy<Value = Duration> {
    (0..=30 * 24 * 3_600_000_u64).prop_map(Duration::from_millis)
}

/// Generates live stats of an attempt.
pub fn live_stats() -> impl Strategy<Value = LiveStats> {
    let pace = (moment(), progress(), moment(), progress())
        .prop_map(|(first_at, first, last_at, last)| ProgressRate { first_at, first, last_at, last });
    let eta = (moment(), remaining(), source()).prop_map(|(at, remaining, source)| ReportedEta {
        at,
        remaining,
        source,
    });
    (
        option::of(progress()),
        option::of(stage()),
        option::of(moment()),
        option::of(pace),
        option::of(eta),
        any::<u64>(),
        option::of(tallies()),
        (source(), any::<bool>()),
    )
        .prop_map(
            |(
                progress,
                stage,
                last_heartbeat,
                pace,
                reported_eta,
                output_bytes,
                tests,
                (source, reports_input),
            )| LiveStats {
                progress,
                progress_source: source,
                reports_input,
                stage,
                last_heartbeat,
                progress_rate: pace,
                reported_eta,
                output_bytes,
                tests,
            },
        )
}

fn tallies() -> impl Strategy<Value = TestTally> {
    (0..9_u64, 0..9_u64).prop_map(|(passed, failed)| TestTally {
        total: passed.saturating_add(failed),
        passed,
        failed,
        ..TestTally::default()
    })
}

/// Generates test results of an attempt.
fn test_reports() -> impl Strategy<Value = Box<TestReport>> {
    let doubt = "[a-z_]{1,8}".prop_map(|kind| TestDoubt { kind, message: "no test ran".to_owned() });
    let failure = ("[a-z:]{1,12}", "[ -~]{0,20}").prop_map(|(id, message)| NamedFailure {
        id,
        message,
        ..NamedFailure::default()
    });
    (tallies(), any::<bool>(), option::of(doubt), proptest::collection::vec(failure, 0..3)).prop_map(
        |(tally, complete, doubt, failures)| {
            Box::new(TestReport { tally, complete, doubt, failures, ..TestReport::default() })
        },
    )
}

/// Generates resource limits that may have stopped an attempt.
fn limit() -> impl Strategy<Value = ExceededLimit> {
    prop_oneof![Just(ExceededLimit::Cpu), Just(ExceededLimit::Memory), Just(ExceededLimit::FileSize)]
}

/// Generates exits of a command.
pub fn exits() -> impl Strategy<Value = Exit> {
    let status = prop_oneof![
        2 => (0..3_i32).prop_map(ExitStatus::Code),
        1 => any::<i32>().prop_map(ExitStatus::Code),
        1 => (1..=31_u8, any::<bool>()).prop_map(|(number, core)| ExitStatus::Signal { number, core }),
    ];
    let usage = (span(), span(), any::<u64>()).prop_map(|(user, system, peak_memory)| Usage {
        user,
        system,
        peak_memory,
    });
    (
        status,
        (moment(), option::of(moment())),
        option::of(cause()),
        option::of(1..=31_u8),
        any::<[u32; 2]>(),
        option::of(limit()),
        usage,
        (any::<[u64; 2]>(), any::<[bool; 6]>(), option::weighted(0.2, first_error())),
    )
        .prop_map(
            |(status, (at, began), stopped, last_signal, [swept, leftovers], limit, usage, rest)| {
                let (
                    [output_bytes, dropped_bytes],
                    [paused, output_open, exit_unobserved, undated, unverified, search_incomplete],
                    error,
                ) = rest;
                Exit {
                    status,
                    at,
                    stopped,
                    last_signal,
                    leftovers_killed: swept,
                    leftovers_found: leftovers,
                    limit,
                    usage,
                    output_bytes,
                    dropped_bytes,
                    started_at: began,
                    circumstances: ExitCircumstances {
                        paused,
                        output_open,
                        exit_unobserved,
                        end_time_unknown: undated,
                        unverified,
                        search_incomplete,
                    },
                    first_error: error.map(Box::new),
                }
            },
        )
}

fn first_error() -> impl Strategy<Value = FirstError> {
    (any::<[String; 2]>(), any::<(Option<String>, Option<u32>, bool, u64, Option<String>)>()).prop_map(
        |([kind, message], (file, line, on_stdout, offset, detail))| FirstError {
            kind,
            message,
            file,
            line,
            column: line,
            has_place: !on_stdout,
            on_stdout,
            offset,
            detail,
            port_holder: line.map(|pid| PortHolder { port: 8080, pid, name: "node".to_owned() }),
        },
    )
}

/// Generates endings of a process, one for each way in which a process can end.
pub fn endings() -> impl Strategy<Value = Ending> {
    let failure = prop_oneof![
        exits().prop_map(Failure::Exit),
        start_failure().prop_map(Failure::Start),
        any::<u32>().prop_map(|times| Failure::NeverRan { times }),
        any::<String>().prop_map(|error| Failure::Reported { error }),
    ];
    prop_oneof![
        (option::of(exits()), option::of(result()))
            .prop_map(|(exit, result)| Ending::Completed { exit, result }),
        failure.prop_map(|failure| Ending::Failed { failure }),
        option::of(exits()).prop_map(|exit| Ending::Timeout { exit }),
        (cause(), option::of(exits())).prop_map(|(by, exit)| Ending::Cancelled { by, exit }),
        interruption().prop_map(|why| Ending::Interrupted { why }),
    ]
}

fn attempt() -> impl Strategy<Value = AttemptNo> {
    (0..4_u32).prop_map(AttemptNo)
}

fn cause() -> impl Strategy<Value = StopCause> {
    prop_oneof![
        Just(StopCause::User),
        Just(StopCause::Timeout),
        Just(StopCause::Parent),
        Just(StopCause::Session),
        Just(StopCause::Shutdown),
        Just(StopCause::Limit),
    ]
}

fn containment() -> impl Strategy<Value = Containment> {
    prop_oneof![Just(Containment::Cgroup), Just(Containment::Subreaper), Just(Containment::Group)]
}

fn interruption() -> impl Strategy<Value = Interruption> {
    prop_oneof![
        Just(Interruption::Reboot),
        any::<(String, bool)>()
            .prop_map(|(evidence, unverified)| Interruption::SupervisorKilled { evidence, unverified }),
        Just(Interruption::NodeGone),
        moment().prop_map(|last| Interruption::HeartbeatMissed { last }),
        any::<String>().prop_map(|found| Interruption::RecordLost { found }),
    ]
}

fn start_failure() -> impl Strategy<Value = StartFailure> {
    let stage = prop_oneof![
        Just(StartStage::Supervisor),
        Just(StartStage::Signature),
        Just(StartStage::Environment),
        Just(StartStage::Program),
        Just(StartStage::Directory),
        Just(StartStage::Stdin),
        Just(StartStage::Limits),
        Just(StartStage::Exec),
    ];
    (stage, option::of(any::<i32>()), any::<String>()).prop_map(|(stage, errno, detail)| StartFailure {
        stage,
        errno,
        detail,
    })
}

fn progress() -> impl Strategy<Value = Progress> {
    (0..=10_000_u16).prop_map(Progress::from_hundredths)
}

fn stage() -> impl Strategy<Value = Stage> {
    "[a-z]{1,6}".prop_map(|text| must(Stage::new(&text)))
}

fn result() -> impl Strategy<Value = JsonText> {
    any::<i32>().prop_map(|number| must(JsonText::checked(format!("{{\"answer\":{number}}}"))))
}
