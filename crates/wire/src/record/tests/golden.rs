//! Checks the exact texts of records, one for each state. Records that were written in the past must remain readable.

use crate::record::{
    RecordDecodeError, decode, decode_event, decode_pending_action, decode_policy, encode_event, encode_life,
    encode_pending_action, encode_policy, encode_spec,
};
use longhaul_domain::*;
use std::time::Duration;

const SPEC: &str = include_str!("golden/spec.json");
const LIVES: &str = include_str!("golden/lives.jsonl");
const LATER_LIVES: &str = include_str!("golden/later-lives.jsonl");
const LATER_SPECS: &str = include_str!("golden/later-specs.jsonl");
const LATER_EVENTS: &str = include_str!("golden/later-events.jsonl");
const TEST_EVENTS: &str = include_str!("golden/test-events.jsonl");
const TEST_LIFE: &str = include_str!("golden/test-life.json");
const TEST_SPECS: &str = include_str!("golden/test-specs.jsonl");
const PENDING_ACTIONS: &str = include_str!("golden/pending-actions.jsonl");
const POLICIES: &str = include_str!("golden/policies.jsonl");

#[test]
fn the_records_of_every_state_are_written_as_they_always_were() {
    assert_eq!(encode_spec(&running()), SPEC.trim_end());
    check(LIVES, &one_per_state(), encode_life, |life| decode(SPEC.trim_end(), life));
}

#[test]
fn records_of_format_1_are_read_as_before_the_fields_were_renamed() {
    const SPEC: &str = include_str!("golden/format-1/spec.json");
    let lives =
        [include_str!("golden/format-1/lives.jsonl"), include_str!("golden/format-1/later-lives.jsonl")];
    let processes = [one_per_state(), with_later_fields()].concat();
    let read: Result<Vec<Process>, _> =
        lives.iter().flat_map(|lives| lives.lines()).map(|life| decode(SPEC.trim_end(), life)).collect();
    assert_eq!(read, Ok(processes));
    let life = encode_life(&running());
    let specs = include_str!("golden/format-1/later-specs.jsonl").lines();
    assert_eq!(specs.map(|spec| decode(spec, &life)).collect::<Result<Vec<_>, _>>(), Ok(with_policies()));
    let events = include_str!("golden/format-1/later-events.jsonl").lines();
    assert_eq!(events.map(decode_event).collect::<Result<Vec<_>, _>>(), Ok(later_events()));
}

/// Checks that the values in `meant` are encoded as the lines of `kept`, and that these lines are decoded to the same
/// values.
fn check<T: PartialEq + std::fmt::Debug>(
    kept: &str,
    meant: &[T],
    write: impl Fn(&T) -> String,
    read: impl Fn(&str) -> Result<T, RecordDecodeError>,
) {
    let written: Vec<String> = meant.iter().map(write).collect();
    let kept: Vec<&str> = kept.lines().collect();
    assert_eq!(written, kept, "written now:\n{}", written.join("\n"));
    for (text, meant) in kept.into_iter().zip(meant) {
        assert_eq!(read(text).as_ref(), Ok(meant), "{text}");
    }
}

#[test]
fn later_fields_of_a_life_are_written_and_read_as_they_always_were() {
    check(LATER_LIVES, &with_later_fields(), encode_life, |life| decode(SPEC.trim_end(), life));
}

#[test]
fn policies_of_a_spec_are_written_and_read_as_they_always_were() {
    let life = encode_life(&running());
    check(LATER_SPECS, &with_policies(), encode_spec, |spec| decode(spec, &life));
}

#[test]
fn later_events_are_written_and_read_as_they_always_were() {
    check(LATER_EVENTS, &later_events(), encode_event, decode_event);
}

#[test]
fn test_results_are_written_and_read_as_they_always_were() {
    let doubt = TestDoubt { kind: "no_tests".to_owned(), message: "no test ran".to_owned() };
    let facts = [Fact::TestsReported(Box::new(test_report())), Fact::TestsDoubted(doubt)];
    check(TEST_EVENTS, &facts.map(|fact| Event { at: Timestamp(5_000), fact }), encode_event, decode_event);
    let tested = Process { tests: Some(Box::new(test_report())), ..running() };
    check(TEST_LIFE, &[tested], encode_life, |life| decode(SPEC.trim_end(), life));
}

#[test]
fn launch_that_names_a_source_of_test_results_needs_a_reader_that_knows_it() {
    let with_tests = |tests: TestReporting| {
        let mut process = running();
        let mut spec = process.spec.as_ref().clone();
        if let Work::Command(command) = &mut spec.work {
            command.tests = tests;
        }
        process.spec = spec.into();
        process
    };
    let processes = [TestReporting::Off, TestReporting::Auto, TestReporting::Junit("out/*.xml".to_owned())]
        .map(with_tests);
    let life = encode_life(&running());
    check(TEST_SPECS, &processes, encode_spec, |spec| decode(spec, &life));
    for spec in TEST_SPECS.lines() {
        let refused = crate::record::decode_up_to(2, spec, &life).unwrap_err();
        assert_eq!(refused, RecordDecodeError::TooNew { needs: 3, reads: 2 });
    }
    assert_eq!(encode_spec(&with_tests(TestReporting::Detect)), SPEC.trim_end());
}

#[test]
fn pending_actions_are_written_and_read_as_they_always_were() {
    check(PENDING_ACTIONS, &pending_actions(), encode_pending_action, decode_pending_action);
}

#[test]
fn a_policy_that_knows_only_the_number_of_its_configuration_is_read_as_set_from_none() {
    let old = r#"{"format":1,"body":{"default_slots":3,"configured":1311768467463790320}}"#;
    assert_eq!(decode_policy(old), Ok(Policy { default_slots: 3, ..Policy::default() }));
}

#[test]
fn policies_are_written_and_read_as_they_always_were() {
    check(POLICIES, &policies(), encode_policy, decode_policy);
}

#[test]
fn records_without_the_later_fields_stand_for_their_defaults() {
    for life in LIVES.lines() {
        let process = decode(SPEC.trim_end(), life).unwrap();
        assert_eq!(process.priority, process.spec.priority);
        assert_eq!((process.cascade, process.cancel_at), (None, None));
        assert_eq!(process.spec.children, ChildrenPolicy::Keep);
        assert_eq!(process.spec.on_session_end, SessionPolicy::Keep);
    }
}

pub(super) fn running() -> Process {
    with(State::Running { execution: execution(), timeout_at: Some(AwakeTime(5_000)) })
}

pub(super) fn one_per_state() -> Vec<Process> {
    let ended = |ending, late| {
        State::Ended(Box::new(Ended {
            at: Timestamp(9_000),
            ending,
            live_stats: LiveStats { progress: Some(Progress::DONE), ..LiveStats::default() },
            containment: None,
            late,
            orphan_stop: None,
        }))
    };
    let stopping = |urgency| State::Stopping {
        execution: Some(execution()),
        cause: StopCause::User,
        since: Timestamp(6_000),
        phase: urgency,
    };
    [
        State::Pending(Pending::Queued),
        State::Pending(Pending::Delayed { until: Timestamp(2_000) }),
        State::Pending(Pending::Retrying {
            at: Timestamp(3_000),
            after: Box::new(Ending::Failed { failure: Failure::Exit(exit()) }),
        }),
        State::Starting { since: Timestamp(1_500) },
        running().state,
        State::Reported { slot: true },
        State::Paused {
            execution: execution(),
            since: Timestamp(4_000),
            timeout_left: Some(Duration::from_millis(1_500)),
        },
        stopping(StopPhase::Requested { kill_at: AwakeTime(7_000) }),
        stopping(StopPhase::Killing { stuck_at: AwakeTime(8_000) }),
        stopping(StopPhase::Stuck),
        State::CancelRequested { slot: false, cause: StopCause::Parent, until: Timestamp(66_000) },
        ended(
            Ending::Completed { exit: None, result: JsonText::checked("{\"rows\":3}".to_owned()).ok() },
            None,
        ),
        ended(
            Ending::Failed {
                failure: Failure::Start(StartFailure {
                    stage: StartStage::Program,
                    errno: Some(2),
                    detail: "no program \"mkae\" in PATH; did you mean make?".to_owned(),
                }),
            },
            None,
        ),
        ended(Ending::Timeout { exit: Some(exit()) }, None),
        ended(Ending::Cancelled { by: StopCause::Session, exit: Some(exit()) }, None),
        ended(
            Ending::Interrupted { why: Interruption::Reboot },
            Some(LateExit { attempt: AttemptNo(2), exit: exit() }),
        ),
    ]
    .map(with)
    .into()
}

/// Returns processes with fields that were added after the first version of the format.
fn with_later_fields() -> Vec<Process> {
    let mut moved = with(State::Pending(Pending::Queued));
    moved.priority = Priority::new(-7).unwrap();
    let mut ending_below = with(State::Running { execution: execution(), timeout_at: None });
    ending_below.cascade = Some(Cascade { cause: StopCause::User, force: true });
    ending_below.cancel_at = Some(Timestamp(77_000));
    let mut asked = with(State::Reported { slot: false });
    asked.cascade = Some(Cascade { cause: StopCause::Parent, force: false });
    let lingering = with(State::AwaitingChildren(Box::new(AwaitingChildren {
        since: Timestamp(8_000),
        ending: Ending::Completed { exit: Some(Exit { limit: None, ..exit() }), result: None },
        live_stats: LiveStats { progress: Some(Progress::DONE), ..LiveStats::default() },
        containment: None,
    })));
    let limited = |limit| {
        let exit = Exit { limit: Some(limit), stopped: None, last_signal: None, ..exit() };
        with(State::Ended(Box::new(Ended {
            at: Timestamp(9_000),
            ending: Ending::Failed { failure: Failure::Exit(exit) },
            live_stats: LiveStats::default(),
            containment: None,
            late: None,
            orphan_stop: None,
        })))
    };
    let contained = |containment, circumstances| {
        let exit = Exit { circumstances, ..exit() };
        with(State::Ended(Box::new(Ended {
            at: Timestamp(9_000),
            ending: Ending::Cancelled { by: StopCause::User, exit: Some(exit) },
            live_stats: LiveStats::default(),
            containment: Some(containment),
            late: None,
            orphan_stop: None,
        })))
    };
    let mut waiting = lingering.clone();
    if let State::AwaitingChildren(lingering) = &mut waiting.state {
        lingering.containment = Some(Containment::Group);
    }
    let mut noticed = running();
    noticed.conditions = [Condition::Ready, Condition::Idle, Condition::Stalled, Condition::WaitingForInput]
        .into_iter()
        .zip((7_001..).map(Timestamp))
        .collect();
    let mut sweeping = running();
    sweeping.conditions = [(Condition::CleaningUp, Timestamp(7_005))].into_iter().collect();
    let mut stopped = running();
    stopped.conditions = [(Condition::SupervisorStopped, Timestamp(7_006))].into_iter().collect();
    vec![
        moved,
        ending_below,
        asked,
        lingering,
        limited(ExceededLimit::Cpu),
        limited(ExceededLimit::Memory),
        limited(ExceededLimit::FileSize),
        noticed,
        sweeping,
        stopped,
        contained(Containment::Cgroup, ExitCircumstances { paused: true, ..ExitCircumstances::PLAIN }),
        contained(
            Containment::Subreaper,
            ExitCircumstances { output_open: true, ..ExitCircumstances::PLAIN },
        ),
        contained(
            Containment::Group,
            ExitCircumstances { exit_unobserved: true, ..ExitCircumstances::PLAIN },
        ),
        waiting,
        contained(
            Containment::Subreaper,
            ExitCircumstances { end_time_unknown: true, unverified: true, ..ExitCircumstances::PLAIN },
        ),
        with(State::Ended(Box::new(Ended {
            at: Timestamp(9_000),
            ending: Ending::Interrupted {
                why: Interruption::SupervisorKilled {
                    evidence: "its lock is free".to_owned(),
                    unverified: true,
                },
            },
            live_stats: LiveStats::default(),
            containment: None,
            late: None,
            orphan_stop: None,
        }))),
    ]
}

/// Returns one process for each policy that was added after the first version of the format.
fn with_policies() -> Vec<Process> {
    let policies = [
        (ChildrenPolicy::Cancel, SessionPolicy::Keep),
        (ChildrenPolicy::Wait, SessionPolicy::Cancel),
        (ChildrenPolicy::Keep, SessionPolicy::Grace(Duration::from_millis(2_500))),
    ];
    let process = |(children, on_session_end)| {
        let mut process = running();
        process.spec = Spec { children, on_session_end, ..process.spec.as_ref().clone() }.into();
        process
    };
    let mut processes: Vec<Process> = policies.map(process).into();
    processes.extend(with_notices());
    let sealed = LaunchSignature("1.347480939cbb.87400000.495f3007628da8e9f052e1f128cac3d2.ada".to_owned());
    processes.push(Process { signature: Some(sealed), ..running() });
    processes
}

/// Returns one process for each kind of monitoring that a launch can request.
fn with_notices() -> Vec<Process> {
    let asking = |ask: &dyn Fn(&mut CommandSpec)| {
        let mut process = running();
        let mut spec = process.spec.as_ref().clone();
        if let Work::Command(command) = &mut spec.work {
            ask(command);
        }
        process.spec = spec.into();
        process
    };
    let ready = |ready_when: ReadyWhen| asking(&|command| command.ready_when = Some(ready_when.clone()));
    let mut silent = running();
    let silence = SilencePolicy {
        idle_after: Some(Duration::from_secs(30)),
        stall_after: Some(Duration::from_millis(90_500)),
    };
    silent.spec = Spec { silence, ..silent.spec.as_ref().clone() }.into();
    let watch = |name: &str, source| WatchPattern { name: name.to_owned(), pattern: "^E".to_owned(), source };
    vec![
        silent,
        asking(&|command| command.stdin = Stdin::Pipe),
        ready(ReadyWhen::Port(8_080)),
        ready(ReadyWhen::Http { url: "http://127.0.0.1:8080/health".to_owned() }),
        ready(ReadyWhen::Log { pattern: "listening on .*".to_owned() }),
        ready(ReadyWhen::Command { program: "curl".to_owned(), args: vec!["-f".to_owned()] }),
        asking(&|command| {
            command.watch = vec![
                watch("both", WatchSource::Both),
                watch("out", WatchSource::Stdout),
                watch("err", WatchSource::Stderr),
            ];
        }),
    ]
}

fn later_events() -> Vec<Event> {
    let live_stats = LiveStats { progress: Some(Progress::DONE), ..LiveStats::default() };
    let ending = Ending::Completed { exit: None, result: None };
    [
        Fact::AwaitingChildren { ending, live_stats },
        Fact::CascadeStarted { cause: StopCause::User, force: true },
        Fact::CascadeStarted { cause: StopCause::Parent, force: false },
        Fact::CascadeEnded,
        Fact::Prioritized { priority: Priority::new(100).unwrap() },
        Fact::SessionEnded { cancel_at: Timestamp(77_000) },
        Fact::SessionKept,
        Fact::ConditionStarted { condition: Condition::Ready },
        Fact::ConditionStarted { condition: Condition::WaitingForInput },
        Fact::ConditionEnded { condition: Condition::Idle },
        Fact::ConditionEnded { condition: Condition::Stalled },
        Fact::OutputMatched { pattern: "oops".to_owned(), offset: 1_024, line: "error: no \"a\"".to_owned() },
        Fact::NodeLost { node: NodeId::new("laptop").unwrap() },
        Fact::SignalSent { signal: Signal::new(10).unwrap(), target: SignalTarget::Main },
        Fact::SignalSent { signal: Signal::new(1).unwrap(), target: SignalTarget::Tree },
        Fact::OrphanStopRequested { cause: StopCause::User, force: true },
        Fact::OrphanStopRequested { cause: StopCause::Session, force: false },
        Fact::Restored { node: NodeId::new("laptop").unwrap() },
        Fact::ConditionStarted { condition: Condition::CleaningUp },
        Fact::ConditionStarted { condition: Condition::SupervisorStopped },
    ]
    .map(|fact| Event { at: Timestamp(5_000), fact })
    .into()
}

fn test_report() -> TestReport {
    TestReport {
        framework: Some("pytest".to_owned()),
        source: Some("plugin".to_owned()),
        tally: TestTally { total: 3, passed: 1, failed: 1, skipped: 1, ..TestTally::default() },
        collected: Some(4),
        duration: Some(Duration::from_millis(1_250)),
        complete: true,
        doubt: Some(TestDoubt { kind: "no_tests".to_owned(), message: "no test ran".to_owned() }),
        notes: vec!["pytest did not load the plugin".to_owned()],
        failures: vec![NamedFailure {
            id: "test_a.py::test_a".to_owned(),
            is_error: true,
            file: Some("test_a.py".to_owned()),
            line: Some(7),
            kind: Some("AssertionError".to_owned()),
            message: "wrong user".to_owned(),
            history: Some("new".to_owned()),
        }],
    }
}

fn pending_actions() -> Vec<PendingAction> {
    let cause = StopCause::User;
    vec![
        PendingAction::Cancel { cause },
        PendingAction::Force { cause: StopCause::Parent },
        PendingAction::Pause,
        PendingAction::Resume,
        PendingAction::RetryNow,
        PendingAction::Terminate { cause, force: false },
        PendingAction::Terminate { cause: StopCause::Parent, force: true },
        PendingAction::EndSession { policy: None },
        PendingAction::EndSession { policy: Some(SessionPolicy::Cancel) },
        PendingAction::EndSession { policy: Some(SessionPolicy::Grace(Duration::from_secs(30))) },
        PendingAction::Signal { signal: Signal::new(10).unwrap(), target: SignalTarget::Main },
        PendingAction::Signal { signal: Signal::new(1).unwrap(), target: SignalTarget::Tree },
    ]
}

fn policies() -> Vec<Policy> {
    let slots = || [("claude-*".to_owned(), 2), ("builds".to_owned(), 0)].into();
    let key = |text| SlotKey::new(text).unwrap();
    vec![
        Policy::default(),
        Policy { slots: slots(), default_slots: 3, ..Policy::default() },
        Policy {
            slots: slots(),
            default_slots: 3,
            held: [
                (key("builds"), QueueHold { since: Timestamp(4_000), by: Some("ada".to_owned()) }),
                (key("claude-opus"), QueueHold { since: Timestamp(5_000), by: None }),
            ]
            .into(),
            configured: Some(ConfiguredLimits { slots: slots(), default_slots: 4 }),
        },
    ]
}

fn with(state: State) -> Process {
    let mut command = CommandSpec::of("make", &["-j2", "check"], "/src");
    command.environment.declared = vec![("LANG".to_owned(), "C".to_owned())];
    command.timeout = Some(Duration::from_secs(600));
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    spec.kind = ProcessType::Build;
    spec.key = SlotKey::new("builds").ok();
    spec.session = SessionId::new("s-1").ok();
    let mut process = Process {
        priority: spec.priority,
        cascade: None,
        cancel_at: None,
        reported: longhaul_domain::ReportedOutcome::default(),
        tests: None,
        conditions: Conditions::default(),
        id: ProcessId::new(uuid::Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef)),
        spec: spec.into(),
        lineage: Lineage { ancestors: vec![ProcessId::new(uuid::Uuid::from_u128(1))], ..Lineage::default() },
        signature: None,
        node: NodeId::new("laptop").ok(),
        attempt: AttemptNo(2),
        retries: 1,
        never_ran: 0,
        queued_at: Timestamp(1_000),
        started_at: Some(Timestamp(1_600)),
        updated_at: Timestamp(0),
        state,
    };
    process.updated_at = process.latest_known_time();
    process
}

fn execution() -> Execution {
    Execution { started_at: Timestamp(1_600), pid: Some(4_711), containment: Some(Containment::Cgroup) }
}

fn exit() -> Exit {
    Exit {
        status: ExitStatus::Signal { number: 15, core: false },
        at: Timestamp(8_900),
        stopped: Some(StopCause::User),
        last_signal: Some(15),
        leftovers_killed: 1,
        leftovers_found: 0,
        limit: None,
        usage: Usage { user: Duration::from_micros(1_250_500), system: Duration::ZERO, peak_memory: 4_096 },
        output_bytes: 42,
        dropped_bytes: 0,
        started_at: None,
        circumstances: ExitCircumstances::PLAIN,
        first_error: None,
    }
}
