//! Tests of the clocks that deadlines use: steady time or awake time.

use crate::inputs::{GRACE, exit, input};
use crate::lives::turn;
use crate::situations::{Situation, awaiting_command, command, command_spec, report, stubborn};
use longhaul_domain::{
    Action, AttemptNo, AwakeTime, ChildrenPolicy, Deadline, Ending, Exit, ExitStatus, Fact, Input,
    Observation, Pending, SessionPolicy, Spec, State, Status, StopCause, Timestamp, Work,
};
use proptest::prelude::*;
use std::time::Duration;

proptest! {
    #[test]
    fn a_timeout_counts_only_the_awake_time_in_which_the_process_was_not_paused(
        spans in prop::collection::vec((0_u64..20_000, 0_u64..100_000, 0_u64..100_000), 1..12),
    ) {
        let mut life = command().after(&["claimed", "spawned"]);
        let mut ran = 0;
        for (running, paused, asleep) in spans {
            life.ctx.awake = life.ctx.awake.plus(Duration::from_millis(running));
            life.ctx.now = life.ctx.now.plus(Duration::from_millis(running + asleep));
            ran += running;
            let stops = turn(&mut life, Input::Tick).after.status() == Status::Stopping;
            prop_assert_eq!(stops, ran >= 60_000, "ran {} ms", ran);
            if stops {
                return Ok(());
            }
            life = life.after(&["pause"]);
            life.ctx.awake = life.ctx.awake.plus(Duration::from_millis(paused));
            prop_assert_eq!(turn(&mut life, Input::Tick).after.status(), Status::Paused);
            life = life.after(&["resume"]);
        }
    }

    #[test]
    fn a_retry_waits_between_half_and_all_of_its_wait_asleep_or_not(chance: u64) {
        let mut life = stubborn().after(&["claimed", "spawned"]);
        life.ctx.chance.0 = chance;
        let failed = life.ctx.now;
        let life = life.after(&["exited_1"]);
        let Some(Deadline::At(due)) = life.process.next_deadline() else {
            return Err(TestCaseError::fail("no deadline"));
        };
        prop_assert!((500..=1_000).contains(&(due.0 - failed.0)), "{} ms", due.0 - failed.0);
    }

    #[test]
    fn an_end_is_dated_when_it_was_however_late_it_becomes_known(
        ran in 0_u64..100_000,
        unknown in 0_u64..100_000_000,
        waits: bool,
    ) {
        let children = if waits { ChildrenPolicy::Wait } else { ChildrenPolicy::Keep };
        let life = command().with_children(children).after(&["claimed"]);
        let began = life.ctx.now;
        let mut life = spawned_at(life, began);
        let ended = began.plus(Duration::from_millis(ran));
        life.ctx.now = ended.plus(Duration::from_millis(unknown));
        let exited = exited_at(life.process.attempt, ended);
        turn(&mut life, exited);
        if let State::AwaitingChildren(lingering) = &life.process.state {
            prop_assert_eq!((lingering.since, waits), (ended, true));
        } else {
            prop_assert_eq!((life.process.completed_at(), waits), (Some(ended), false));
        }
    }

    #[test]
    fn a_start_that_is_reported_only_with_the_end_is_recorded(waited in 0_u64..1_000, ran in 0_u64..100_000, told: bool) {
        let mut life = command().after(&["claimed"]);
        let began = life.ctx.now.plus(Duration::from_millis(waited));
        let ended = began.plus(Duration::from_millis(ran));
        life.ctx.now = ended.plus(Duration::from_secs(60));
        let mut exited = exited_at(life.process.attempt, ended);
        if let Input::Observation(Observation::Exited { exit, .. }) = &mut exited {
            exit.started_at = told.then_some(began);
        }
        turn(&mut life, exited);
        prop_assert_eq!(life.process.started_at, told.then_some(began));
        prop_assert_eq!(life.process.completed_at(), Some(ended));
    }

    #[test]
    fn end_time_is_between_the_start_and_the_observation(at: i64) {
        let life = command().after(&["claimed"]).later(10);
        let began = life.ctx.now;
        let mut life = spawned_at(life, began).later(10);
        let exited = exited_at(life.process.attempt, Timestamp(at));
        turn(&mut life, exited);
        let ended = life.process.completed_at().unwrap();
        prop_assert!(began <= ended && ended <= life.ctx.now, "{ended:?}");
    }
}

#[test]
fn a_stop_waits_for_its_grace_and_for_the_reports_before_it() {
    let mut spec = command_spec();
    let Work::Command(command) = &mut spec.work else { unreachable!() };
    command.stop.interrupt_first = Some(Duration::from_secs(2));
    let life = Situation::of(spec).after(&["claimed", "spawned", "cancel"]);
    assert_eq!(
        life.process.next_deadline(),
        Some(Deadline::Awake(life.ctx.awake.plus(Duration::from_secs(7))))
    );
}

#[test]
fn a_cancel_during_the_stop_for_a_timeout_takes_it_over_without_more_grace() {
    let timing_out = stubborn().after(&["claimed", "spawned"]).later(60).after(&["tick"]);
    let deadline = timing_out.process.next_deadline();
    let cancelled = timing_out.later(3).after(&["cancel"]);
    assert_eq!(cancelled.process.next_deadline(), deadline);
    let ended = cancelled.after(&["exited_1"]);
    let State::Ended(ended) = ended.process.state else { panic!("{:?}", ended.process.state) };
    assert!(
        matches!(ended.ending, Ending::Cancelled { by: StopCause::User, exit: Some(_) }),
        "{:?}",
        ended.ending
    );
}

#[test]
fn a_force_leaves_no_grace() {
    let life = command().after(&["claimed", "spawned", "force"]);
    assert_eq!(
        life.process.next_deadline(),
        Some(Deadline::Awake(life.ctx.awake.plus(Duration::from_secs(2))))
    );
}

#[test]
fn a_reporter_has_a_minute_to_acknowledge_a_cancel_asleep_or_not() {
    let life = report().after(&["cancel"]);
    let until = life.ctx.now.plus(Duration::from_secs(60));
    assert_eq!(life.process.next_deadline(), Some(Deadline::At(until)));
    assert_eq!(life.process.head().due, Some(until), "an ownerless process has a due time");
}

#[test]
fn a_heartbeat_is_due_after_the_last_sign_of_life_and_only_from_reporters() {
    let life = report();
    let start = life.ctx.now;
    let span = Duration::from_secs(30);
    assert_eq!(life.process.heartbeat_due(None), Some(start.plus(span)));
    let beat = start.plus(Duration::from_secs(9));
    assert_eq!(life.process.heartbeat_due(Some(beat)), Some(beat.plus(span)));
    let withdrawing = life.clone().after(&["cancel"]);
    assert_eq!(withdrawing.process.heartbeat_due(Some(beat)), Some(beat.plus(span)));
    assert_eq!(life.after(&["complete"]).process.heartbeat_due(Some(beat)), None);
    assert_eq!(command().after(&["claimed", "spawned"]).process.heartbeat_due(Some(beat)), None);
}

#[test]
fn whatever_may_outlive_its_session_is_cancelled_for_it_when_its_grace_is_over() {
    let running = || command().after(&["claimed", "spawned"]);
    let lives = [command(), command().after(&["claimed"]), running(), running().after(&["pause"]), report()];
    for life in lives {
        let mut life = life.after(&["end_session_grace"]);
        let cancel_at = life.ctx.now.plus(GRACE);
        assert_eq!(life.process.session_deadline(), Some(cancel_at));
        assert_eq!(life.process.head().due.filter(|due| *due > cancel_at), None);
        // The grace period after the end of a session uses steady time, so it also expires while the machine is
        // suspended.
        life.ctx.now = cancel_at;
        let told = life.after(&["tick"]).process;
        assert_eq!(cause(&told.state), Some(StopCause::Session), "{:?}", told.state);
        assert_eq!(told.session_deadline(), None);
    }
}

#[test]
fn of_two_ends_of_a_session_the_sooner_one_counts() {
    let mut life = command().after(&["claimed", "spawned", "end_session_grace"]);
    let first = life.process.cancel_at;
    let end = |life: &mut Situation, grace| {
        let policy = Some(SessionPolicy::Grace(Duration::from_secs(grace)));
        turn(life, Input::Action(Action::EndSession { policy })).answer.unwrap();
        life.process.cancel_at
    };
    assert_eq!(end(&mut life, 60), first);
    let sooner = life.ctx.now.plus(Duration::from_secs(10));
    assert_eq!(end(&mut life, 10), Some(sooner));
    assert_eq!(end(&mut life, 30), Some(sooner));
}

#[test]
fn a_process_is_due_at_the_earlier_of_its_deadline_and_its_grace_period() {
    let delayed = |moment: Timestamp| Situation::of(Spec { not_before: Some(moment), ..command_spec() });
    let now = command().ctx.now;
    for (wait, due) in [(20, 20), (40, 30)] {
        let life = delayed(now.plus(Duration::from_secs(wait))).after(&["end_session_grace"]);
        assert_eq!(life.process.due(), Some(now.plus(Duration::from_secs(due))));
    }
    assert_eq!(command().process.due(), None);
}

#[test]
fn the_end_of_a_session_takes_over_the_stop_for_a_timeout_that_another_attempt_would_follow() {
    let timing_out = || stubborn().after(&["claimed", "spawned"]).later(60).after(&["tick"]);
    let ended = timing_out().after(&["end_session_cancel", "exited_timeout"]).process;
    assert_eq!(cause(&ended.state), Some(StopCause::Session), "{:?}", ended.state);
    let late =
        timing_out().after(&["end_session_grace", "exited_timeout"]).later(30).after(&["tick"]).process;
    assert_eq!(cause(&late.state), Some(StopCause::Session), "{:?}", late.state);
}

#[test]
fn a_cancel_takes_over_the_stop_for_a_timeout_that_a_wait_for_the_children_would_follow() {
    let timing_out = || awaiting_command().after(&["claimed", "spawned"]).later(60).after(&["tick"]);
    let deadline = timing_out().process.next_deadline();
    let cancelled = timing_out().later(3).after(&["cancel"]);
    assert_eq!(cancelled.process.next_deadline(), deadline);
    let ended = cancelled.after(&["exited_timeout"]).process;
    assert_eq!(cause(&ended.state), Some(StopCause::User), "{:?}", ended.state);
}

#[test]
fn a_delay_that_is_over_is_none() {
    let spec = |moment| Spec { not_before: Some(Timestamp(moment)), ..command_spec() };
    let now = command().ctx.now;
    let late = Situation::of(spec(now.0)).process;
    assert_eq!(late.state, State::Pending(Pending::Queued));
    let early = Situation::of(spec(now.0 + 1)).process;
    assert_eq!(early.next_deadline(), Some(Deadline::At(Timestamp(now.0 + 1))));
}

#[test]
fn a_command_without_timeout_has_no_deadline() {
    let mut spec = command_spec();
    let Work::Command(command) = &mut spec.work else { unreachable!() };
    command.timeout = None;
    let mut life = Situation::of(spec).after(&["claimed", "spawned"]);
    assert_eq!(life.process.next_deadline(), None);
    let pause = input("pause", life.process.attempt);
    let paused = turn(&mut life, pause);
    let events = paused.answer.unwrap().events;
    assert_eq!(events[0].fact, Fact::Paused { timeout_left: None });
}

#[test]
fn a_timeout_without_end_does_not_wrap() {
    let mut spec = command_spec();
    let Work::Command(command) = &mut spec.work else { unreachable!() };
    command.timeout = Some(Duration::MAX);
    let life = Situation::of(spec).after(&["claimed", "spawned"]);
    assert_eq!(life.process.next_deadline(), Some(Deadline::Awake(AwakeTime(i64::MAX))));
}

/// Returns the reason why the process was asked to end.
fn cause(state: &State) -> Option<StopCause> {
    if let State::Stopping { cause, .. } | State::CancelRequested { cause, .. } = state {
        return Some(*cause);
    }
    let State::Ended(ended) = state else { return None };
    if let Ending::Cancelled { by, .. } = &ended.ending { Some(*by) } else { None }
}

fn spawned_at(mut life: Situation, at: Timestamp) -> Situation {
    let attempt = life.process.attempt;
    turn(&mut life, Input::Observation(Observation::Spawned { attempt, pid: None, containment: None, at }));
    life
}

fn exited_at(attempt: AttemptNo, at: Timestamp) -> Input {
    let exit = Exit { at, ..exit(ExitStatus::Code(0), None) };
    Input::Observation(Observation::Exited { attempt, exit })
}
