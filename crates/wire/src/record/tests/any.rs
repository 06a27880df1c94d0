mod command;
mod policy;
mod spec;

use command::command;
pub(super) use policy::policy;
use spec::spec;

use longhaul_domain::*;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r#"[{}\[\]",:a-z0-9]{0,60}"#.prop_map(|text| text),
        Just(r#"{"format":1,"body":{"state":{"starting":{"since":1e400}}}}"#.to_owned()),
        Just("[".repeat(10_000)),
    ]
}

fn name<T: std::str::FromStr<Err = InvalidText> + std::fmt::Debug>() -> BoxedStrategy<T> {
    "[a-zA-Zä0-9*./-]{1,40}".prop_map(|text| text.parse().unwrap()).boxed()
}

fn some<T: std::fmt::Debug + Clone + 'static>(of: BoxedStrategy<T>) -> BoxedStrategy<Option<T>> {
    prop::option::of(of).boxed()
}

fn span() -> BoxedStrategy<Duration> {
    prop_oneof![
        any::<Duration>(),
        Just(Duration::MAX),
        Just(Duration::ZERO),
        (0_u64..100_000).prop_map(Duration::from_millis),
    ]
    .boxed()
}

fn timestamp() -> BoxedStrategy<Timestamp> {
    any::<i64>().prop_map(Timestamp).boxed()
}

fn awake() -> BoxedStrategy<AwakeTime> {
    any::<i64>().prop_map(AwakeTime).boxed()
}

fn id() -> BoxedStrategy<ProcessId> {
    any::<u128>().prop_map(|bits| ProcessId::new(uuid::Uuid::from_u128(bits))).boxed()
}

fn progress() -> BoxedStrategy<Progress> {
    any::<u16>().prop_map(Progress::from_hundredths).boxed()
}

fn json() -> BoxedStrategy<JsonText> {
    any::<String>().prop_map(|text| JsonText::checked(format!("{text:?}")).unwrap()).boxed()
}

pub(super) fn cause() -> BoxedStrategy<StopCause> {
    prop::sample::select(vec![
        StopCause::User,
        StopCause::Timeout,
        StopCause::Parent,
        StopCause::Session,
        StopCause::Shutdown,
        StopCause::Limit,
    ])
    .boxed()
}

pub(super) fn wish() -> BoxedStrategy<PendingAction> {
    prop_oneof![
        cause().prop_map(|cause| PendingAction::Cancel { cause }),
        cause().prop_map(|cause| PendingAction::Force { cause }),
        Just(PendingAction::Pause),
        Just(PendingAction::Resume),
        Just(PendingAction::RetryNow),
        (cause(), any::<bool>()).prop_map(|(cause, force)| PendingAction::Terminate { cause, force }),
        some(session_policy()).prop_map(|policy| PendingAction::EndSession { policy }),
        (signal(), signal_target()).prop_map(|(signal, target)| PendingAction::Signal { signal, target }),
    ]
    .boxed()
}

fn signal() -> BoxedStrategy<Signal> {
    any::<u8>().prop_filter_map("it is sent", |number| Signal::new(number).ok()).boxed()
}

fn signal_target() -> BoxedStrategy<SignalTarget> {
    prop::sample::select(vec![SignalTarget::Main, SignalTarget::Tree]).boxed()
}

fn session_policy() -> BoxedStrategy<SessionPolicy> {
    prop_oneof![
        Just(SessionPolicy::Keep),
        Just(SessionPolicy::Cancel),
        span().prop_map(SessionPolicy::Grace),
    ]
    .boxed()
}

fn children() -> BoxedStrategy<ChildrenPolicy> {
    prop::sample::select(vec![ChildrenPolicy::Keep, ChildrenPolicy::Cancel, ChildrenPolicy::Wait]).boxed()
}

fn moved_priority() -> BoxedStrategy<Priority> {
    (-100..=i64::from(i32::MAX)).prop_map(|value| Priority::stored(value).unwrap()).boxed()
}

fn priority() -> BoxedStrategy<Priority> {
    (-100_i64..=100).prop_map(|value| Priority::new(value).unwrap()).boxed()
}

fn outcome() -> BoxedStrategy<ReportedOutcome> {
    let result = any::<u32>().prop_map(|number| JsonText::checked(number.to_string()).unwrap());
    let tokens =
        any::<(u64, u64, u64)>().prop_map(|(input, output, cached)| TokenCounts { input, output, cached });
    let texts = (some(any::<String>().boxed()), some(any::<String>().boxed()));
    (some(result.boxed()), texts, some(tokens.boxed()))
        .prop_map(|(result, (error, agent_session), tokens)| ReportedOutcome {
            result,
            error,
            tokens,
            agent_session,
        })
        .boxed()
}

pub(super) fn live_stats() -> BoxedStrategy<LiveStats> {
    let pace = (timestamp(), progress(), timestamp(), progress())
        .prop_map(|(first_at, first, last_at, last)| ProgressRate { first_at, first, last_at, last });
    let source = || {
        prop::sample::select(vec![ProgressSource::Worker, ProgressSource::Output, ProgressSource::History])
    };
    let eta = (timestamp(), span(), source()).prop_map(|(at, remaining, source)| ReportedEta {
        at,
        remaining,
        source,
    });
    (
        some(progress()),
        some(name()),
        some(timestamp()),
        some(pace.boxed()),
        some(eta.boxed()),
        any::<u64>(),
        some(tally()),
        (source(), any::<bool>()),
    )
        .prop_map(|(progress, stage, last_heartbeat, pace, reported_eta, output_bytes, tests, others)| {
            LiveStats {
                progress,
                progress_source: others.0,
                stage,
                last_heartbeat,
                progress_rate: pace,
                reported_eta,
                output_bytes,
                tests,
                reports_input: others.1,
            }
        })
        .boxed()
}

fn tally() -> BoxedStrategy<TestTally> {
    any::<[u64; 8]>()
        .prop_map(|[total, passed, failed, errors, skipped, xfailed, xpassed, todo]| TestTally {
            total,
            passed,
            failed,
            errors,
            skipped,
            xfailed,
            xpassed,
            todo,
        })
        .boxed()
}

fn doubt() -> BoxedStrategy<TestDoubt> {
    any::<(String, String)>().prop_map(|(kind, message)| TestDoubt { kind, message }).boxed()
}

fn test_report() -> BoxedStrategy<Box<TestReport>> {
    let texts = any::<[Option<String>; 3]>();
    let failure = (any::<(String, bool, Option<u32>, String)>(), texts).prop_map(
        |((id, is_error, line, message), [file, kind, history])| NamedFailure {
            id,
            is_error,
            file,
            line,
            kind,
            message,
            history,
        },
    );
    (
        (any::<[Option<String>; 2]>(), tally(), any::<Option<u64>>(), some(span()), any::<bool>()),
        (some(doubt()), any::<Vec<String>>(), prop::collection::vec(failure, 0..3)),
    )
        .prop_map(
            |(([framework, source], tally, collected, duration, complete), (doubt, notes, failures))| {
                Box::new(TestReport {
                    framework,
                    source,
                    tally,
                    collected,
                    duration,
                    complete,
                    doubt,
                    notes,
                    failures,
                })
            },
        )
        .boxed()
}

fn exit() -> BoxedStrategy<Exit> {
    let status = prop_oneof![
        any::<i32>().prop_map(ExitStatus::Code),
        (any::<u8>(), any::<bool>()).prop_map(|(number, core)| ExitStatus::Signal { number, core }),
    ];
    let usage = (span(), span(), any::<u64>()).prop_map(|(user, system, peak_memory)| Usage {
        user,
        system,
        peak_memory,
    });
    let limit =
        prop::sample::select(vec![ExceededLimit::Cpu, ExceededLimit::Memory, ExceededLimit::FileSize]);
    (
        (status, timestamp(), some(cause()), any::<Option<u8>>(), some(limit.boxed())),
        (
            any::<[u32; 2]>(),
            usage,
            any::<[u64; 2]>(),
            some(timestamp()),
            any::<[bool; 6]>(),
            some(first_error()),
        ),
    )
        .prop_map(
            |(
                (status, at, stopped, last_signal, limit),
                (
                    [swept, leftovers],
                    usage,
                    [output_bytes, dropped_bytes],
                    began,
                    [paused, output_open, exit_unobserved, undated, unverified, search_incomplete],
                    error,
                ),
            )| {
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
        .boxed()
}

fn first_error() -> BoxedStrategy<FirstError> {
    (any::<[String; 2]>(), any::<(Option<String>, Option<u32>, Option<u32>, bool, u64, Option<String>)>())
        .prop_map(|([kind, message], (file, line, column, on_stdout, offset, detail))| FirstError {
            kind,
            message,
            file,
            line,
            column,
            has_place: !on_stdout,
            on_stdout,
            offset,
            detail,
            port_holder: line.map(|pid| PortHolder { port: 8080, pid, name: "node".to_owned() }),
        })
        .boxed()
}

fn failure() -> BoxedStrategy<Failure> {
    let stage = prop::sample::select(vec![
        StartStage::Supervisor,
        StartStage::Signature,
        StartStage::Environment,
        StartStage::Program,
        StartStage::Directory,
        StartStage::Stdin,
        StartStage::Limits,
        StartStage::Exec,
    ]);
    prop_oneof![
        exit().prop_map(Failure::Exit),
        (stage, any::<Option<i32>>(), any::<String>())
            .prop_map(|(stage, errno, detail)| Failure::Start(StartFailure { stage, errno, detail })),
        any::<u32>().prop_map(|times| Failure::NeverRan { times }),
        any::<String>().prop_map(|error| Failure::Reported { error }),
    ]
    .boxed()
}

pub(super) fn ending() -> BoxedStrategy<Ending> {
    let why = prop_oneof![
        Just(Interruption::Reboot),
        any::<(String, bool)>()
            .prop_map(|(evidence, unverified)| Interruption::SupervisorKilled { evidence, unverified }),
        Just(Interruption::NodeGone),
        timestamp().prop_map(|last| Interruption::HeartbeatMissed { last }),
        any::<String>().prop_map(|found| Interruption::RecordLost { found }),
    ];
    prop_oneof![
        (some(exit()), some(json())).prop_map(|(exit, result)| Ending::Completed { exit, result }),
        failure().prop_map(|failure| Ending::Failed { failure }),
        some(exit()).prop_map(|exit| Ending::Timeout { exit }),
        (cause(), some(exit())).prop_map(|(by, exit)| Ending::Cancelled { by, exit }),
        why.prop_map(|why| Ending::Interrupted { why }),
    ]
    .boxed()
}

fn containment() -> BoxedStrategy<Containment> {
    prop::sample::select(vec![Containment::Cgroup, Containment::Subreaper, Containment::Group]).boxed()
}

fn execution() -> BoxedStrategy<Execution> {
    (timestamp(), any::<Option<u32>>(), some(containment()))
        .prop_map(|(started_at, pid, containment)| Execution { started_at, pid, containment })
        .boxed()
}

fn state() -> BoxedStrategy<State> {
    let urgency = prop_oneof![
        awake().prop_map(|kill_at| StopPhase::Requested { kill_at }),
        awake().prop_map(|stuck_at| StopPhase::Killing { stuck_at }),
        Just(StopPhase::Stuck),
    ];
    let rest = (cause(), any::<bool>()).prop_map(|(cause, force)| OrphanStop { cause, force });
    let late =
        (any::<u32>(), exit()).prop_map(|(attempt, exit)| LateExit { attempt: AttemptNo(attempt), exit });
    prop_oneof![
        Just(State::Pending(Pending::Queued)),
        timestamp().prop_map(|until| State::Pending(Pending::Delayed { until })),
        (timestamp(), ending())
            .prop_map(|(at, after)| State::Pending(Pending::Retrying { at, after: Box::new(after) })),
        timestamp().prop_map(|since| State::Starting { since }),
        (execution(), some(awake()))
            .prop_map(|(execution, timeout_at)| State::Running { execution, timeout_at }),
        any::<bool>().prop_map(|slot| State::Reported { slot }),
        (execution(), timestamp(), some(span())).prop_map(|(execution, since, timeout_left)| State::Paused {
            execution,
            since,
            timeout_left
        }),
        (some(execution()), cause(), timestamp(), urgency).prop_map(|(execution, cause, since, urgency)| {
            State::Stopping { execution, cause, since, phase: urgency }
        }),
        (any::<bool>(), cause(), timestamp()).prop_map(|(slot, cause, until)| State::CancelRequested {
            slot,
            cause,
            until
        }),
        (timestamp(), ending(), live_stats(), some(containment())).prop_map(
            |(since, ending, live_stats, containment)| {
                State::AwaitingChildren(Box::new(AwaitingChildren { since, ending, live_stats, containment }))
            }
        ),
        (timestamp(), ending(), live_stats(), some(containment()), some(late.boxed()), some(rest.boxed()))
            .prop_map(|(at, ending, live_stats, containment, late, rest)| {
                State::Ended(Box::new(Ended { at, ending, live_stats, containment, late, orphan_stop: rest }))
            }),
    ]
    .boxed()
}

pub(super) fn event() -> BoxedStrategy<Event> {
    let of_kin = prop_oneof![
        (ending(), live_stats())
            .prop_map(|(ending, live_stats)| Fact::AwaitingChildren { ending, live_stats }),
        (cause(), any::<bool>()).prop_map(|(cause, force)| Fact::CascadeStarted { cause, force }),
        Just(Fact::CascadeEnded),
        moved_priority().prop_map(|priority| Fact::Prioritized { priority }),
        timestamp().prop_map(|cancel_at| Fact::SessionEnded { cancel_at }),
        Just(Fact::SessionKept),
        (signal(), signal_target()).prop_map(|(signal, target)| Fact::SignalSent { signal, target }),
        (cause(), any::<bool>()).prop_map(|(cause, force)| Fact::OrphanStopRequested { cause, force }),
    ];
    let fact = prop_oneof![
        of_kin,
        Just(Fact::Submitted),
        (any::<u32>(), name())
            .prop_map(|(attempt, node)| Fact::Claimed { attempt: AttemptNo(attempt), node }),
        (any::<Option<u32>>(), some(containment()), some(awake()))
            .prop_map(|(pid, containment, timeout_at)| { Fact::Spawned { pid, containment, timeout_at } }),
        Just(Fact::NeverRan),
        Just(Fact::BecameDue),
        (timestamp(), ending()).prop_map(|(due, after)| Fact::RetryScheduled { due, after }),
        name().prop_map(|stage| Fact::StageChanged { stage }),
        outcome().prop_map(Fact::OutcomeReported),
        prop_oneof![test_report().prop_map(Fact::TestsReported), doubt().prop_map(Fact::TestsDoubted)],
        some(span()).prop_map(|timeout_left| Fact::Paused { timeout_left }),
        some(awake()).prop_map(|timeout_at| Fact::Resumed { timeout_at }),
        (cause(), awake(), timestamp()).prop_map(|(cause, kill_at, until)| Fact::StopRequested {
            cause,
            kill_at,
            until
        }),
        awake().prop_map(|stuck_at| Fact::KillStarted { stuck_at }),
        Just(Fact::BecameStuck),
        (ending(), live_stats()).prop_map(|(ending, live_stats)| Fact::Ended { ending, live_stats }),
        (any::<u32>(), exit())
            .prop_map(|(attempt, exit)| Fact::LateExit { attempt: AttemptNo(attempt), exit }),
        condition().prop_map(|condition| Fact::ConditionStarted { condition }),
        name().prop_map(|node| Fact::NodeLost { node }),
        name().prop_map(|node| Fact::Restored { node }),
        condition().prop_map(|condition| Fact::ConditionEnded { condition }),
        any::<(String, u64, String)>().prop_map(|(pattern, offset, line)| Fact::OutputMatched {
            pattern,
            offset,
            line
        }),
    ];
    (timestamp(), fact).prop_map(|(at, fact)| Event { at, fact }).boxed()
}

fn condition() -> impl Strategy<Value = Condition> {
    prop::sample::select(Condition::ALL.to_vec())
}

pub(super) fn process() -> BoxedStrategy<Process> {
    let lineage = (prop::collection::vec(id(), 0..4), some(id()), 0..4_u8)
        .prop_map(|(ancestors, restarted_from, outside)| Lineage { ancestors, restarted_from, outside });
    let cascade = (cause(), any::<bool>()).prop_map(|(cause, force)| Cascade { cause, force });
    (
        (id(), spec(), lineage, some(name()), some(any::<String>().prop_map(LaunchSignature).boxed())),
        (any::<(u32, u32, u32)>(), timestamp(), some(timestamp()), timestamp(), state()),
        (
            some(moved_priority()),
            some(cascade.boxed()),
            some(timestamp()),
            prop::collection::vec((condition(), timestamp()), 0..4),
            outcome(),
            some(test_report()),
        ),
    )
        .prop_map(
            |(
                (id, spec, lineage, node, launch_signature),
                ((attempt, retries, never_ran), queued_at, started_at, updated_at, state),
                (priority, cascade, cancel_at, conditions, reported, tests),
            )| {
                Process {
                    id,
                    priority: priority.unwrap_or(spec.priority),
                    cascade,
                    cancel_at,
                    conditions: conditions.into_iter().collect(),
                    reported,
                    tests,
                    spec: Arc::new(spec),
                    lineage,
                    signature: launch_signature,
                    node,
                    attempt: AttemptNo(attempt),
                    retries,
                    never_ran,
                    queued_at,
                    started_at,
                    updated_at,
                    state,
                }
            },
        )
        .boxed()
}
