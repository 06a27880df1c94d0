//! Tests of names, texts and small rules of the lifecycle.

use crate::inputs::{COLUMNS, column, exit, input_to};
use crate::situations::{Situation, awaiting_command, command, command_spec, report, situations};
use longhaul_domain::{
    ActionKind, AttemptNo, Containment, Effect, EndTimePrecision, EndedBy, Ending, EnvironmentSpec,
    ExceededLimit, Exit, ExitCircumstances, ExitStatus, Fact, Failure, Interruption, JsonText, Level,
    LimitMechanism, Lineage, MAX_JSON_BYTES, MAX_NAME_LEN, PendingAction, Process, ProcessHeader, ProcessId,
    ProcessName, ProcessType, Progress, ReportedSpec, Retention, Signal, SignalTarget, SlotState, Spec,
    StartStage, Status, StopCause, Timestamp, UnknownStatus, Work,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn every_status_is_read_by_its_word_and_error_means_failed() {
    for status in Status::ALL {
        assert_eq!(status.to_string().parse(), Ok(status));
    }
    assert_eq!("error".parse(), Ok(Status::Failed));
    let unknown = "lost".parse::<Status>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no status \"lost\"; the statuses are pending, starting, running, paused, stopping, completed, failed, \
         timeout, cancelled, interrupted"
    );
    assert_eq!(unknown, UnknownStatus { word: "lost".into() });
}

#[test]
fn exactly_five_statuses_are_final() {
    let ended: Vec<Status> = Status::ALL.into_iter().filter(|status| status.is_ended()).collect();
    assert_eq!(
        ended,
        [Status::Completed, Status::Failed, Status::Timeout, Status::Cancelled, Status::Interrupted]
    );
}

#[test]
fn every_type_is_read_by_its_word() {
    let words = ["jules_session", "test_suite", "build", "server", "analysis", "custom", "custom:lint"];
    for word in words {
        assert_eq!(word.parse::<ProcessType>().map(|kind| kind.to_string()), Ok(word.to_owned()));
    }
    for bad in ["", "tests", "custom:", "custom: a"] {
        assert!(bad.parse::<ProcessType>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_refusal_says_the_present_status_and_the_attempt() {
    let refused = |life: crate::situations::Situation, name: &str| {
        life.process
            .decide(&life.ctx, &life.live_stats, &input_to(&life.process, name, life.process.attempt))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused(report().after(&["complete"]), "fail"), "cannot fail a process that is completed");
    assert_eq!(refused(report(), "pause"), "cannot pause reported work (its status is running)");
    assert_eq!(
        refused(command().after(&["claimed", "spawned"]), "complete"),
        "cannot complete a command: its end is observed by its supervisor (its status is running)"
    );
    assert_eq!(refused(command(), "retry_now"), "cannot retry a process that is pending");
    assert_eq!(refused(report(), "prioritize"), "cannot prioritize a process that is running");
    assert_eq!(
        refused(awaiting_command().after(&["claimed", "spawned", "exited_0"]), "progress"),
        "cannot report the progress of a process whose own work has ended: it only waits for its children (its status is running)"
    );
}

#[test]
fn no_two_things_share_a_word() {
    let verbs = [
        ActionKind::Progress,
        ActionKind::Complete,
        ActionKind::Fail,
        ActionKind::Cancel,
        ActionKind::Force,
        ActionKind::Pause,
        ActionKind::Resume,
        ActionKind::Restart,
        ActionKind::RetryNow,
        ActionKind::Terminate,
        ActionKind::Prioritize,
        ActionKind::EndSession,
        ActionKind::Signal,
    ];
    assert_distinct(&verbs.map(ActionKind::as_str));
    let causes = [
        StopCause::User,
        StopCause::Timeout,
        StopCause::Parent,
        StopCause::Session,
        StopCause::Shutdown,
        StopCause::Limit,
    ];
    assert_distinct(&causes.map(StopCause::as_str));
    let stages = [
        StartStage::Supervisor,
        StartStage::Signature,
        StartStage::Environment,
        StartStage::Program,
        StartStage::Directory,
        StartStage::Stdin,
        StartStage::Limits,
        StartStage::Exec,
    ];
    assert_distinct(&stages.map(StartStage::as_str));
    assert_distinct(
        &[Containment::Cgroup, Containment::Subreaper, Containment::Group].map(Containment::as_str),
    );
    let text = String::new;
    let whys = [
        Interruption::Reboot,
        Interruption::SupervisorKilled { evidence: text(), unverified: false },
        Interruption::NodeGone,
        Interruption::HeartbeatMissed { last: Timestamp(0) },
        Interruption::RecordLost { found: text() },
    ];
    assert_distinct(&whys.each_ref().map(Interruption::as_str));
    let limits = [ExceededLimit::Cpu, ExceededLimit::Memory, ExceededLimit::FileSize];
    assert_distinct(&limits.map(ExceededLimit::as_str));
    assert_distinct(&[LimitMechanism::Rlimit, LimitMechanism::Cgroup].map(LimitMechanism::as_str));
}

#[test]
fn every_fact_has_a_word_of_its_own() {
    let mut words = BTreeMap::from([variant(&Fact::Submitted)]);
    for (_, Situation { process, ctx, live_stats }) in situations() {
        for input in COLUMNS.iter().flat_map(|name| column(name, &process)) {
            let step = process.decide(&ctx, &live_stats, &input).unwrap_or_default();
            words.extend(step.events.iter().map(|event| variant(&event.fact)));
        }
    }
    assert_eq!(words.len(), 29, "{words:?}");
    assert_distinct(&words.into_values().collect::<Vec<_>>());
}

#[test]
fn an_unobserved_end_gets_the_latest_possible_time() {
    let lost = |unverified| Ending::Interrupted {
        why: Interruption::SupervisorKilled { evidence: String::new(), unverified },
    };
    let ended = |circumstances| {
        let exit = Exit { circumstances, ..exit(ExitStatus::Code(3), None) };
        Ending::Failed { failure: Failure::Exit(exit) }
    };
    let given_up = Ending::Interrupted { why: Interruption::NodeGone };
    let undated = ExitCircumstances { end_time_unknown: true, ..ExitCircumstances::PLAIN };
    let unverified = ExitCircumstances { unverified: true, ..ExitCircumstances::PLAIN };
    for (ending, dating, is_unverified) in [
        (ended(ExitCircumstances::PLAIN), EndTimePrecision::Exact, false),
        (ended(undated), EndTimePrecision::Latest, false),
        (ended(unverified), EndTimePrecision::Exact, true),
        (lost(false), EndTimePrecision::Latest, false),
        (lost(true), EndTimePrecision::Latest, true),
        (Ending::Interrupted { why: Interruption::Reboot }, EndTimePrecision::Latest, false),
        (given_up, EndTimePrecision::DeclaredLost, false),
        (Ending::Cancelled { by: StopCause::User, exit: None }, EndTimePrecision::Exact, false),
    ] {
        assert_eq!((ending.dating(), ending.is_unverified()), (dating, is_unverified), "{ending:?}");
    }
}

#[test]
fn an_exit_is_known_wherever_one_was_seen() {
    let seen = exit(ExitStatus::Code(3), None);
    let with = [
        Ending::Completed { exit: Some(seen.clone()), result: None },
        Ending::Failed { failure: Failure::Exit(seen.clone()) },
        Ending::Timeout { exit: Some(seen.clone()) },
        Ending::Cancelled { by: StopCause::User, exit: Some(seen.clone()) },
    ];
    for ending in with {
        assert_eq!(ending.exit(), Some(&seen));
    }
    let without = [
        Ending::Failed { failure: Failure::NeverRan { times: 5 } },
        Ending::Interrupted { why: Interruption::Reboot },
        Ending::Timeout { exit: None },
    ];
    for ending in without {
        assert_eq!(ending.exit(), None);
    }
}

#[test]
fn cause_is_the_stop_then_the_limit_then_the_signal() {
    let by = |number| ExitStatus::Signal { number, core: false };
    let over = |limit, status| Exit { limit: Some(limit), ..exit(status, None) };
    let told = [
        (exit(ExitStatus::Code(3), None), "itself"),
        (exit(by(11), None), "itself"),
        (exit(by(13), None), "itself"),
        (exit(by(9), None), "outside"),
        (exit(by(15), None), "outside"),
        (over(ExceededLimit::Memory, by(9)), "memory"),
        (over(ExceededLimit::Cpu, by(24)), "cpu"),
        (exit(by(9), Some(StopCause::Parent)), "parent"),
        (exit(ExitStatus::Code(0), Some(StopCause::User)), "user"),
    ];
    for (exit, word) in told {
        assert_eq!(exit.blame().as_str(), word, "{exit:?}");
        assert_eq!(Ending::Failed { failure: Failure::Exit(exit) }.blame().map(EndedBy::as_str), Some(word));
    }
    // The ending can be determined by a stop request that the shim did not receive.
    let unheard = Some(exit(by(9), None));
    let cancelled = Ending::Cancelled { by: StopCause::Session, exit: unheard.clone() };
    assert_eq!(cancelled.blame(), Some(EndedBy::Stop(StopCause::Session)));
    assert_eq!(Ending::Timeout { exit: unheard }.blame(), Some(EndedBy::Stop(StopCause::Timeout)));
    assert_eq!(Ending::Interrupted { why: Interruption::Reboot }.blame(), None);
    assert_eq!(Ending::Failed { failure: Failure::NeverRan { times: 5 } }.blame(), None);
}

#[test]
fn the_containment_is_known_after_the_end() {
    let held = |life: Situation| life.process.state.containment();
    for end in ["exited_0", "exited_1", "node_lost"] {
        let life = command().after(&["claimed", "spawned", end]);
        assert!(life.process.status().is_ended(), "{end}");
        assert_eq!(held(life), Some(Containment::Cgroup), "{end}");
    }
    let waiting = awaiting_command().after(&["claimed", "spawned", "exited_0"]);
    assert_eq!(held(waiting), Some(Containment::Cgroup));
    let waited = awaiting_command().after(&["claimed", "spawned", "exited_0", "descendants_ended"]);
    assert!(waited.process.status().is_ended());
    assert_eq!(held(waited), Some(Containment::Cgroup));
    assert_eq!(held(command().after(&["claimed", "spawn_failed"])), None);
}

#[test]
fn debug_prints_names_of_variables_and_no_values() {
    let mut spec = command_spec();
    let Work::Command(command) = &mut spec.work else { unreachable!() };
    command.environment = EnvironmentSpec {
        declared: vec![("TOKEN".to_owned(), "hunter2".to_owned())],
        ..EnvironmentSpec::default()
    };
    let text = format!("{spec:?}");
    assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_reported_start_runs_at_once_where_its_reporter_says() {
    let life = report();
    let mut spec = Spec::of(Work::Reported(ReportedSpec::default()));
    let Work::Reported(reported) = &mut spec.work else { unreachable!() };
    reported.node = Some("db-3".parse().unwrap());
    let id = ProcessId::new(uuid::Uuid::from_u128(2));
    let (process, events) = Process::submit(&life.ctx, id, Lineage::default(), Arc::new(spec));
    assert_eq!(process.status(), Status::Running);
    assert_eq!(process.started_at, Some(life.ctx.now));
    assert_eq!(process.node.map(|node| node.to_string()), Some("db-3".to_owned()));
    assert_eq!(events.iter().map(|event| &event.fact).collect::<Vec<_>>(), [&Fact::Submitted]);
}

#[test]
fn a_lineage_contains_parent_root_and_level() {
    let [root, child, leaf] = [1, 2, 3].map(|n| ProcessId::new(uuid::Uuid::from_u128(n)));
    let top = Lineage::default();
    let below = top.child_of(root).child_of(child);
    assert_eq!((top.parent(), top.root(root), top.level()), (None, root, Level(0)));
    assert_eq!((below.parent(), below.root(leaf), below.level()), (Some(child), root, Level(2)));
}

#[test]
fn records_go_by_age_and_by_count_but_the_count_takes_none_of_the_last_day() {
    let day = Duration::from_secs(24 * 3600);
    let ended = Timestamp(0);
    let after = |span: Duration| ended.plus(span);
    let kept = Retention::default();
    assert!(!kept.is_due_for_pruning(after(7 * day), ended, 0));
    assert!(kept.is_due_for_pruning(after(7 * day + Duration::from_millis(1)), ended, 0));
    assert!(!kept.is_due_for_pruning(after(day), ended, 1_000_000));
    assert!(kept.is_due_for_pruning(after(day + Duration::from_millis(1)), ended, 100_000));
    assert!(!kept.is_due_for_pruning(after(2 * day), ended, 99_999));
    let bounded = Retention { before: Some(Timestamp(1)), ..kept };
    assert!(
        bounded.is_due_for_pruning(after(Duration::ZERO), ended, 0),
        "a limit in bytes has no minimum age"
    );
    assert!(!bounded.is_due_for_pruning(after(Duration::ZERO), Timestamp(1), 0));
    let forever = Retention { age: None, count: None, before: None };
    assert!(!forever.is_due_for_pruning(Timestamp(i64::MAX), ended, u64::MAX));
}

#[test]
fn too_much_json_is_refused() {
    assert!(JsonText::checked("x".repeat(MAX_JSON_BYTES)).is_ok());
    let refused = JsonText::checked("x".repeat(MAX_JSON_BYTES + 1)).unwrap_err();
    assert_eq!(refused.to_string(), "65537 bytes of JSON exceed the maximum of 65536");
}

#[test]
fn a_head_contains_the_fields_for_indexes() {
    for (row, situation) in situations() {
        let (process, head) = (&situation.process, situation.process.head());
        assert_eq!((head.status, head.attempt), (process.status(), process.attempt), "[{row}]");
        assert_eq!((head.queued_at, head.completed_at), (process.queued_at, process.completed_at()));
        assert_eq!(head.node, process.node, "[{row}]");
        assert_eq!((head.priority, head.due), (process.priority, process.due()), "[{row}]");
    }
}

/// Returns the name of the enum variant, and the name that records use for it.
fn variant(fact: &Fact) -> (String, &'static str) {
    let debug = format!("{fact:?}");
    (debug.split(' ').next().unwrap_or_default().to_owned(), fact.name())
}

fn assert_distinct(words: &[&str]) {
    assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{words:?}");
}

#[test]
fn short_id_is_the_first_eight_characters() {
    let id: ProcessId = "3f2a9c1b-0000-4000-8000-000000000000".parse().unwrap();
    assert_eq!(id.short(), "3f2a9c1b");
}

#[test]
fn actions_that_end_the_process_are_distinguished_from_other_actions() {
    let cause = StopCause::User;
    let ends = [
        PendingAction::Cancel { cause },
        PendingAction::Force { cause },
        PendingAction::Terminate { cause, force: false },
        PendingAction::EndSession { policy: None },
    ];
    assert!(ends.iter().all(PendingAction::ends));
    let signal = PendingAction::Signal { signal: Signal::new(1).unwrap(), target: SignalTarget::Main };
    let others = [PendingAction::Pause, PendingAction::Resume, PendingAction::RetryNow, signal];
    assert!(!others.iter().any(PendingAction::ends));
}

#[test]
fn longest_name_has_as_many_bytes_as_are_allowed() {
    assert!("n".repeat(MAX_NAME_LEN).parse::<ProcessName>().is_ok());
    assert!("n".repeat(MAX_NAME_LEN + 1).parse::<ProcessName>().is_err());
}

#[test]
fn json_text_is_kept_as_it_was_given() {
    assert_eq!(JsonText::checked("{\"a\":1}".to_owned()).unwrap().as_str(), "{\"a\":1}");
}

#[test]
fn progress_is_kept_in_hundredths_of_a_percent() {
    let progress = Progress::from_percent(12.34).unwrap();
    assert_eq!(progress.hundredths(), 1_234);
    assert_eq!(Progress::from_hundredths(1_234), progress);
    assert!((progress.percent() - 12.34).abs() < 1e-9);
    assert_eq!(Progress::from_hundredths(10_001), Progress::DONE);
}

#[test]
fn process_is_ending_from_its_stop_until_its_descendants_have_ended() {
    let open = command().process.head();
    assert!(!open.is_ending());
    let stopping = ProcessHeader { closing: true, ..open };
    assert!(stopping.is_ending());
    let ended = ProcessHeader { slot_state: SlotState::Ended, ..stopping };
    assert!(!ended.is_ending(), "nothing is due below it");
    assert!(
        ProcessHeader { due: Some(Timestamp(7)), ..ended }.is_ending(),
        "the descendants still have to end"
    );
}

#[test]
fn only_effects_that_end_work_go_ahead_of_the_store() {
    let attempt = AttemptNo(1);
    let stop = Effect::Stop { attempt, cause: StopCause::User };
    assert!(stop.only_stops());
    assert!(Effect::Kill { attempt, cause: StopCause::User }.only_stops());
    assert!(!Effect::Pause { attempt }.only_stops());
    assert!(!Effect::Relaunch.only_stops());
}
