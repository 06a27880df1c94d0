//! Tests of conditions, readiness checks and watch patterns.

use crate::inputs::{exit, input, noticed};
use crate::situations::{Situation, asking_when_ready, command, command_spec, report};
use longhaul_domain::{
    Capabilities, CommandSpec, Condition, Conditions, ExitStatus, Input, Observation, Process, ReadyWhen,
    SilencePolicy, Spec, State, Status, Stdin, StopCause, Timestamp, WatchPattern, WatchSource, Work,
};
use std::time::Duration;

#[test]
fn a_pause_and_a_stop_end_every_condition_but_ready() {
    for order in ["pause", "cancel", "force"] {
        let life = noticed_all().after(&[order]);
        let left: Vec<Condition> = life.process.conditions.iter().map(|(condition, _)| condition).collect();
        assert_eq!(left, [Condition::Ready], "{order}");
    }
}

#[test]
fn nothing_holds_of_an_attempt_that_is_over_nor_of_the_next() {
    for end in ["exited_0", "exited_1", "supervisor_lost"] {
        assert_eq!(noticed_all().after(&[end]).process.conditions, Conditions::default(), "{end}");
    }
    let mut spec = Spec::clone(&noticed_all().process.spec);
    spec.retry.retries = 3;
    let again = Situation::of(spec).after(&["claimed", "spawned", "ready", "idle", "exited_1"]);
    assert_eq!(again.process.conditions, Conditions::default());
    let mut next = again.later(60).after(&["tick", "claimed", "spawned"]);
    assert_eq!(next.process.conditions, Conditions::default());
    next = next.after(&["ready"]);
    assert!(next.process.conditions.holds(Condition::Ready));
}

#[test]
fn a_condition_is_dated_when_it_was_seen_though_not_before_the_start_nor_in_the_future() {
    for (told, kept) in [(-5, 0), (30_000, 30_000), (90_000, 60_000)] {
        let mut life = command().after(&["claimed", "spawned"]);
        life.process.started_at = Some(life.ctx.now);
        let start = life.ctx.now.0;
        life = life.later(60);
        let attempt = life.process.attempt;
        let mut input = noticed(attempt, Condition::Idle, true);
        if let longhaul_domain::Input::Observation(longhaul_domain::Observation::ConditionObserved {
            at,
            ..
        }) = &mut input
        {
            *at = Timestamp(start + told);
        }
        let step = life.process.decide(&life.ctx, &life.live_stats, &input).unwrap();
        life.process.evolve(&step.events);
        assert_eq!(life.process.conditions.since(Condition::Idle), Some(Timestamp(start + kept)));
    }
}

#[test]
fn conditions_change_no_status_and_no_deadline() {
    let before = asking_when_ready().after(&["claimed", "spawned"]).process;
    let after = noticed_all().process;
    assert_eq!(after.status(), Status::Running);
    assert_eq!(after.next_deadline(), before.next_deadline());
    assert_eq!(after.head(), before.head());
    let updated_at = before.updated_at;
    assert_eq!(Process { conditions: before.conditions, updated_at, ..after }, before);
}

#[test]
fn reported_work_is_idle_or_stalled_and_never_ready_nor_waiting_for_input() {
    let silent = report().after(&["idle", "stalled"]).process;
    let held: Vec<Condition> = silent.conditions.iter().map(|(condition, _)| condition).collect();
    assert_eq!(held, [Condition::Idle, Condition::Stalled]);
}

#[test]
fn a_stopped_shim_continues() {
    let over = noticed_all().after(&["supervisor_stopped_over"]);
    assert!(!over.process.conditions.holds(Condition::SupervisorStopped));
}

#[test]
fn every_condition_has_a_word_of_its_own_and_holds_by_itself() {
    let mut words = Vec::new();
    for condition in Condition::ALL {
        let conditions = Conditions::default().with(condition, Some(Timestamp(7)));
        assert_eq!(conditions.iter().collect::<Vec<_>>(), [(condition, Timestamp(7))]);
        assert_eq!(conditions.with(condition, None), Conditions::default());
        words.push(condition.to_string());
    }
    assert_eq!(words, ["ready", "idle", "stalled", "waiting_for_input", "cleaning_up", "supervisor_stopped"]);
}

#[test]
fn silence_is_as_the_launch_says_else_as_the_deployment_says_and_zero_is_never() {
    let of = |idle: Option<u64>, stall: Option<u64>| SilencePolicy {
        idle_after: idle.map(Duration::from_secs),
        stall_after: stall.map(Duration::from_secs),
    };
    assert_eq!(of(Some(1), None).or(of(Some(9), Some(8))), of(Some(1), Some(8)));
    assert_eq!(of(Some(0), None).or(of(Some(9), Some(0))), of(None, None));
    assert!(of(None, None).is_none() && !of(Some(0), None).is_none() && !of(None, Some(1)).is_none());
}

#[test]
fn a_spawner_that_cannot_write_or_look_is_asked_for_neither() {
    let with = |change: &dyn Fn(&mut CommandSpec)| {
        let mut spec = command_spec();
        if let Work::Command(command) = &mut spec.work {
            change(command);
        }
        spec
    };
    let piped = with(&|command| command.stdin = Stdin::Pipe);
    let listening = with(&|command| command.ready_when = Some(ReadyWhen::Port(80)));
    let logging = with(&|command| {
        command.ready_when = Some(ReadyWhen::Log { pattern: "up".to_owned() });
        command.stdin = Stdin::File("/dev/zero".to_owned());
    });
    let none = Capabilities { input: false, inspection: false, ..Capabilities::ALL };
    assert_eq!(piped.unsupported_by(none), Some("a pipe as standard input"));
    assert_eq!(listening.unsupported_by(none), Some("waiting for a listening port"));
    assert_eq!(logging.unsupported_by(none), None);
    assert_eq!(report().process.spec.unsupported_by(none), None);
    for spec in [piped, listening, logging] {
        assert_eq!(spec.unsupported_by(Capabilities::ALL), None);
    }
}

#[test]
fn watched_patterns_do_not_make_a_different_launch() {
    let plain = command_spec();
    let mut curious = plain.clone();
    curious.silence.idle_after = Some(Duration::from_secs(1));
    if let Work::Command(command) = &mut curious.work {
        command.stdin = Stdin::Pipe;
        command.ready_when = Some(ReadyWhen::Port(80));
        let (name, pattern) = ("e".to_owned(), "error".to_owned());
        command.watch.push(WatchPattern { name, pattern, source: WatchSource::Stderr });
    }
    assert!(plain.same_launch(&curious));
    assert_eq!(plain.launch_differences(&curious), [""; 0]);
}

#[test]
fn a_command_that_has_ended_runs_out_of_no_time_and_nothing_else_begins_of_it() {
    let running = asking_when_ready().after(&["claimed", "spawned", "ready"]);
    let timeout = running.process.next_deadline();
    let cleaning_up = running.after(&["cleaning_up"]).later(100_000);
    assert!(cleaning_up.process.conditions.holds(Condition::CleaningUp) && timeout.is_some());
    assert_eq!((cleaning_up.process.status(), cleaning_up.process.next_deadline()), (Status::Running, None));
    for name in ["tick", "idle", "waits_for_input"] {
        let input = input(name, cleaning_up.process.attempt);
        let step = cleaning_up.process.decide(&cleaning_up.ctx, &cleaning_up.live_stats, &input).unwrap();
        assert_eq!(step.events, [], "{name}");
    }
}

#[test]
fn a_stop_after_the_exit_does_not_change_the_end() {
    for (cause, name) in [("cancel", "cancelled"), ("tick", "timeout")] {
        let told = command().after(&["claimed", "spawned"]).later(100_000).after(&[cause]);
        let State::Stopping { since, .. } = told.process.state else { panic!("{:?}", told.process.state) };
        let ended = |leftovers, ms, stopped| {
            let mut exit = exit(ExitStatus::Code(0), stopped);
            (exit.leftovers_found, exit.at) = (leftovers, Timestamp(since.0 + ms));
            let mut life = told.process.clone();
            let input = Input::Observation(Observation::Exited { attempt: life.attempt, exit });
            let step = told.process.decide(&told.ctx, &told.live_stats, &input).unwrap();
            life.evolve(&step.events);
            life.status().as_str()
        };
        assert_eq!(ended(1, -1, None), "completed", "{cause}");
        assert_eq!(ended(1, 0, None), name, "the command ended on request");
        assert_eq!(ended(0, -1, None), "completed", "{cause}");
        assert_eq!(ended(0, 0, None), name, "the command ended on request");
        assert_eq!(ended(1, -1, Some(StopCause::User)), "cancelled", "{cause}");
    }
}

fn noticed_all() -> Situation {
    let all = ["claimed", "spawned", "ready", "idle", "stalled", "waits_for_input", "supervisor_stopped"];
    asking_when_ready().after(&all)
}
