//! Properties that hold for every process history.

use crate::edges::is_legal;
use crate::inputs::{COLUMNS, column, input};
use crate::lives::{Script, Turn, awaited, live, reach, scripts, turn, wild_events};
use crate::situations::{Situation, situations};
use longhaul_domain::{
    Action, ActionKind, ChildrenPolicy, Deadline, Effect, Ending, Fact, Input, MAX_NEVER_RAN, NoOpReason,
    Observation, PendingAction, Process, Progress, Rejection, SessionPolicy, Signal, SignalTarget, SlotState,
    State, Status, StopCause, Timestamp, Work,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::BTreeSet;
use std::time::Duration;

proptest! {
    #[test]
    fn the_same_input_gets_the_same_answer_and_deciding_changes_nothing(script in scripts()) {
        for turn in live(&script) {
            let untouched = turn.before.clone();
            prop_assert_eq!(turn.before.decide(&turn.ctx, &turn.live_stats, &turn.input), turn.answer);
            prop_assert_eq!(turn.before, untouched);
        }
    }

    #[test]
    fn replayed_events_give_the_record(script in scripts()) {
        let mut replayed = Situation::of(script.spec.clone()).process;
        for turn in live(&script) {
            replayed.evolve(&turn.answer.map(|step| step.events).unwrap_or_default());
            prop_assert_eq!(&replayed, &turn.after);
        }
    }

    #[test]
    fn an_ending_is_final(script in scripts()) {
        for turn in live(&script) {
            if let State::Ended(before) = &turn.before.state {
                let State::Ended(after) = &turn.after.state else {
                    return Err(TestCaseError::fail(format!("{turn:?} made an ended process live")));
                };
                prop_assert_eq!(&before.ending, &after.ending);
                prop_assert_eq!((before.at, &before.live_stats), (after.at, &after.live_stats));
                prop_assert!(before.late.is_none() || before.late == after.late);
                // After the end of a process, only its cascade, its test results and the data inside its final state
                // may change.
                let (state, cascade) = (turn.before.state.clone(), turn.before.cascade);
                let (updated_at, tests) = (turn.before.updated_at, turn.before.tests.clone());
                prop_assert!(turn.after.updated_at >= updated_at);
                prop_assert_eq!(&Process { state, cascade, updated_at, tests, ..turn.after }, &turn.before);
            }
        }
    }

    #[test]
    fn the_status_changes_only_along_legal_edges(script in scripts()) {
        for turn in live(&script) {
            let (from, to) = (turn.before.status(), turn.after.status());
            prop_assert!(is_legal(from, to), "{from} to {to} by {:?}", turn.input);
        }
    }

    #[test]
    fn every_live_process_has_a_deadline_or_waits_for_a_fact(script in scripts()) {
        for Turn { ctx, live_stats, after, .. } in live(&script) {
            let Some(fact) = awaited(&after) else {
                prop_assert!(after.status().is_ended() || after.next_deadline().is_some());
                continue;
            };
            let step = after.decide(&ctx, &live_stats, &fact).unwrap();
            prop_assert!(!step.events.is_empty(), "{fact:?} does nothing to {:?}", after.state);
        }
    }

    #[test]
    fn a_tick_does_something_at_each_deadline_and_nothing_before_them(script in scripts()) {
        for Turn { ctx, live_stats, after, .. } in live(&script) {
            let deadlines = |process: &Process| [process.next_deadline(), process.session_deadline().map(Deadline::At)];
            let tick = |ctx| after.decide(&ctx, &live_stats, &Input::Tick).unwrap().events;
            let mut early = ctx;
            let mut waits = false;
            for (place, deadline) in deadlines(&after).into_iter().enumerate() {
                let mut due = ctx;
                match deadline {
                    Some(Deadline::At(at)) => {
                        early.now.0 = if waits { early.now.0.min(at.0 - 1) } else { at.0 - 1 };
                        due.now = at;
                        waits = true;
                    }
                    Some(Deadline::Awake(at)) => {
                        early.awake.0 = at.0 - 1;
                        due.awake = at;
                    }
                    None => continue,
                }
                let mut ticked = after.clone();
                ticked.evolve(&tick(due));
                prop_assert_ne!(deadlines(&ticked)[place], deadline);
            }
            if deadlines(&after) == [None, None] {
                early.now.0 = i64::MAX;
                early.awake.0 = i64::MAX;
            }
            prop_assert_eq!(tick(early), []);
        }
    }

    #[test]
    fn a_cancelled_life_ends_when_the_world_answers(script in scripts()) {
        let mut life = life_after(&script);
        let cancel = input("cancel", life.process.attempt);
        turn(&mut life, cancel);
        for _ in 0..4 {
            prop_assert!(!matches!(life.process.state, State::AwaitingChildren(_)), "the process waits for its descendants");
            answer(&mut life);
        }
        prop_assert!(life.process.status().is_ended(), "{:?}", life.process.state);
    }

    #[test]
    fn a_terminated_life_ends_with_all_below_it(script in scripts()) {
        let mut life = life_after(&script);
        let terminate = input("terminate", life.process.attempt);
        turn(&mut life, terminate);
        prop_assert!(life.process.cascade.is_some());
        for _ in 0..4 {
            prop_assert!(life.process.head().closing, "a child may join {:?}", life.process.state);
            answer(&mut life);
        }
        prop_assert!(life.process.status().is_ended(), "{:?}", life.process.state);
        let below = input("descendants_ended", life.process.attempt);
        turn(&mut life, below);
        prop_assert_eq!(life.process.cascade, None);
    }

    #[test]
    fn after_a_stop_was_asked_no_attempt_begins(script in scripts()) {
        let mut asked = None;
        for turn in live(&script) {
            if let Some(attempt) = asked {
                prop_assert_eq!(turn.after.attempt, attempt, "after {:?}", turn.input);
                let over = matches!(turn.before.state, State::AwaitingChildren(_));
                prop_assert!(over || turn.after.status() >= Status::Stopping, "after {:?}", turn.input);
            }
            if matches!(
                turn.input,
                Input::Action(
                    Action::Cancel { .. }
                        | Action::Force { .. }
                        | Action::Terminate { .. }
                        | Action::EndSession { policy: Some(SessionPolicy::Cancel) }
                )
            ) {
                asked = Some(turn.after.attempt);
            }
        }
    }

    #[test]
    fn a_rejection_names_the_status_and_the_action(script in scripts()) {
        for turn in live(&script) {
            let Err(rejection) = turn.answer else { continue };
            let tried = verb(&turn.input);
            match rejection {
                Rejection::InvalidStatusTransition { from, attempted, .. } => {
                    prop_assert_eq!((from, Some(attempted)), (turn.before.status(), tried));
                }
                Rejection::Unsupported { status, attempted, .. } => {
                    prop_assert_eq!((status, Some(attempted)), (turn.before.status(), tried));
                }
            }
        }
    }

    #[test]
    fn each_attempt_has_a_higher_number_and_is_started_once(script in scripts()) {
        let mut started = BTreeSet::new();
        for turn in live(&script) {
            let Ok(step) = turn.answer else { continue };
            let claims = step.events.iter().any(|event| matches!(event.fact, Fact::Claimed { .. }));
            prop_assert_eq!(turn.after.attempt > turn.before.attempt, claims);
            prop_assert!(turn.after.attempt >= turn.before.attempt);
            for effect in step.effects {
                if let Effect::Spawn { attempt } = effect {
                    prop_assert!(started.insert(attempt), "attempt {attempt} was started twice");
                }
            }
        }
    }

    #[test]
    fn a_slot_is_held_from_the_claim_to_the_end_of_the_attempt(script in scripts()) {
        let mut holds = false;
        for turn in live(&script) {
            for event in turn.answer.map(|step| step.events).unwrap_or_default() {
                match event.fact {
                    Fact::Claimed { .. } => holds = true,
                    Fact::NeverRan
                    | Fact::RetryScheduled { .. }
                    | Fact::AwaitingChildren { .. }
                    | Fact::Ended { .. } => holds = false,
                    Fact::Submitted
                    | Fact::Spawned { .. }
                    | Fact::BecameDue
                    | Fact::StageChanged { .. }
                    | Fact::OutcomeReported(_)
                    | Fact::TestsReported(_)
                    | Fact::TestsDoubted(_)
                    | Fact::Paused { .. }
                    | Fact::Resumed { .. }
                    | Fact::StopRequested { .. }
                    | Fact::KillStarted { .. }
                    | Fact::BecameStuck
                    | Fact::CascadeStarted { .. }
                    | Fact::CascadeEnded
                    | Fact::Prioritized { .. }
                    | Fact::SessionEnded { .. }
                    | Fact::SessionKept
                    | Fact::ConditionStarted { .. }
                    | Fact::ConditionEnded { .. }
                    | Fact::OutputMatched { .. }
                    | Fact::NodeLost { .. }
                    | Fact::SignalSent { .. }
                    | Fact::OrphanStopRequested { .. }
                    | Fact::Restored { .. }
                    | Fact::LateExit { .. } => {}
                }
            }
            let head = turn.after.head();
            prop_assert_eq!(head.slot_state == SlotState::Holding, holds, "{:?}", turn.after.state);
            prop_assert_eq!(head.slot_state == SlotState::Ended, head.status.is_ended());
            prop_assert_eq!(head.slot_state == SlotState::Ended, head.completed_at.is_some());
            let marked = turn.after.cascade.is_some();
            prop_assert_eq!(head.closing, marked || head.status >= Status::Stopping);
        }
    }

    #[test]
    fn retries_and_starts_that_never_ran_are_bounded(script in scripts()) {
        let mut scheduled = 0;
        for turn in live(&script) {
            scheduled += turn.answer.map_or(0, |step| {
                step.events.iter().filter(|event| matches!(event.fact, Fact::RetryScheduled { .. })).count()
            });
            prop_assert_eq!(turn.after.retries as usize, scheduled);
            prop_assert!(turn.after.retries <= script.spec.retry.retries);
            prop_assert!(turn.after.never_ran < MAX_NEVER_RAN);
        }
    }

    #[test]
    fn effects_of_a_step_can_be_derived_from_the_record(script in scripts()) {
        for turn in live(&script) {
            for effect in turn.answer.map(|step| step.effects).unwrap_or_default() {
                match effect {
                    Effect::Spawn { .. } | Effect::Stop { .. } | Effect::Kill { .. } | Effect::Pause { .. } => {
                        prop_assert_eq!(turn.after.wanted(), Some(effect));
                    }
                    Effect::Cascade { .. } | Effect::AwaitDescendants => {
                        prop_assert_eq!(turn.after.wanted_below(), Some(effect));
                        prop_assert_eq!(turn.after.due(), Some(turn.after.queued_at));
                    }
                    Effect::Resume { .. }
                    | Effect::Signal { .. }
                    | Effect::StopOrphan { .. }
                    | Effect::Keep { .. }
                    | Effect::Relaunch => {}
                }
            }
        }
    }

    #[test]
    fn an_ending_keeps_the_last_live_stats_and_reported_completion_is_100_percent(script in scripts()) {
        for turn in live(&script) {
            let (live_stats, fresh) = match (&turn.before.state, &turn.after.state) {
                (State::AwaitingChildren(before), State::Ended(ended)) => {
                    prop_assert_eq!((&before.ending, &before.live_stats), (&ended.ending, &ended.live_stats));
                    continue;
                }
                (State::AwaitingChildren(_) | State::Ended(_), _) => continue,
                (_, State::AwaitingChildren(after)) => (&after.live_stats, after.since),
                (_, State::Ended(after)) => (&after.live_stats, after.at),
                _ => continue,
            };
            prop_assert_eq!(fresh, moment_of_end(&turn.before, &turn.input, turn.ctx.now));
            prop_assert_eq!(&live_stats.stage, &turn.live_stats.stage);
            if matches!(turn.input, Input::Action(Action::Complete { .. })) {
                prop_assert_eq!(live_stats.progress, Some(Progress::DONE));
            } else {
                prop_assert_eq!(live_stats, &turn.live_stats);
            }
        }
    }

    #[test]
    fn an_exit_without_a_cancel_applies_the_policy_for_children(script in scripts()) {
        for turn in live(&script) {
            if turn.before.status().is_ended() {
                continue;
            }
            let before = &turn.before.state;
            let told = matches!(before, State::CancelRequested { .. })
                || matches!(before, State::Stopping { cause, .. } if *cause != StopCause::Timeout);
            let lingers = !matches!(before, State::AwaitingChildren(_)) && matches!(turn.after.state, State::AwaitingChildren(_));
            prop_assert!(!lingers || (!told && script.spec.children == ChildrenPolicy::Wait));
            let State::Ended(ended) = &turn.after.state else { continue };
            let by_itself = !told && !matches!(ended.ending, Ending::Cancelled { .. });
            match script.spec.children {
                ChildrenPolicy::Keep => {}
                ChildrenPolicy::Cancel => prop_assert!(!by_itself || turn.after.cascade.is_some()),
                ChildrenPolicy::Wait => {
                    let seen = !matches!(ended.ending, Ending::Interrupted { .. });
                    prop_assert!(!by_itself || !seen || matches!(before, State::AwaitingChildren(_)));
                }
            }
            let asked = matches!(
                turn.input,
                Input::Action(Action::Terminate { .. } | Action::EndSession { .. }) | Input::Tick
            );
            let began = turn.before.cascade.is_none() && turn.after.cascade.is_some();
            let declared = by_itself && script.spec.children == ChildrenPolicy::Cancel;
            prop_assert!(!began || asked || declared, "{:?}", turn.input);
        }
    }

    #[test]
    fn a_mark_comes_with_its_commit_and_goes_when_all_below_have_ended(script in scripts()) {
        for turn in live(&script) {
            let (before, after) = (turn.before.cascade, turn.after.cascade);
            if let Input::Action(Action::Terminate { force, .. }) = turn.input {
                prop_assert!(after.is_some_and(|mark| mark.force || !force), "{after:?}");
                prop_assert!(before.is_none_or(|mark| !mark.force || after == before), "{after:?}");
            }
            let seen = matches!(turn.input, Input::Observation(Observation::DescendantsEnded));
            prop_assert_eq!(before.is_some() && after.is_none(), before.is_some() && seen);
            prop_assert!(after.is_none() || (turn.after.head().closing && turn.after.due().is_some()));
        }
    }

    #[test]
    fn only_a_waiting_process_can_be_moved_in_its_queue(script in scripts()) {
        for turn in live(&script) {
            let moved = turn.after.priority != turn.before.priority;
            let asked = matches!(turn.input, Input::Action(Action::Prioritize { .. }));
            prop_assert!(!moved || (asked && turn.before.status() == Status::Pending));
            prop_assert_eq!(asked && turn.answer.is_err(), asked && turn.before.status() != Status::Pending);
            prop_assert_eq!(turn.after.head().priority, turn.after.priority);
        }
    }

    #[test]
    fn the_end_of_a_session_is_taken_back_in_so_many_words_only_and_takes_it_along_at_last(script in scripts()) {
        for turn in live(&script) {
            let kept = Input::Action(Action::EndSession { policy: Some(SessionPolicy::Keep) });
            if turn.input == kept && turn.before.cancel_at.is_some() {
                let told = turn.before.status() >= Status::Stopping;
                prop_assert!(told || turn.after.cancel_at.is_none(), "{:?}", turn.before.state);
            } else if let Some(before) = turn.before.cancel_at {
                prop_assert!(turn.after.cancel_at.is_some_and(|after| after <= before));
            }
            let late = turn.before.session_deadline().is_some_and(|cancel_at| cancel_at <= turn.ctx.now);
            if late && matches!(turn.input, Input::Tick) {
                let ends = turn.after.status() >= Status::Stopping;
                prop_assert!(ends || turn.after.cascade.is_some(), "{:?}", turn.after.state);
                prop_assert_eq!(turn.after.session_deadline(), None);
            }
        }
    }

    #[test]
    fn reported_work_is_never_started_stopped_or_ended_by_a_node(script in scripts()) {
        if matches!(script.spec.work, Work::Command(_)) {
            return Ok(());
        }
        for turn in live(&script) {
            let step = turn.answer.unwrap_or_default();
            prop_assert!(step.effects.iter().all(|effect| !effect.only_stops()), "{step:?}");
            let starts = step.effects.iter().any(|effect| matches!(effect, Effect::Spawn { .. }));
            prop_assert!(!starts);
            if let Input::Observation(
                Observation::OwnerLost | Observation::NodeLost { .. } | Observation::Exited { .. },
            ) = turn.input
            {
                prop_assert_eq!(step.note, Some(NoOpReason::Stale));
            }
        }
    }

    #[test]
    fn no_order_of_events_causes_a_panic(script in scripts(), events in wild_events()) {
        let mut life = Situation::of(script.spec);
        for event in events {
            life.process.evolve(std::slice::from_ref(&event));
            let _ = (life.process.head(), life.process.next_deadline(), life.process.session_deadline());
            let _ = (life.process.wanted(), life.process.wanted_below());
        }
        for name in COLUMNS {
            for input in column(name, &life.process) {
                let answer = life.process.decide(&life.ctx, &life.live_stats, &input);
                let _ = answer.map(|step| life.process.evolve(&step.events));
            }
        }
    }
}

#[test]
fn a_pending_action_is_decided_like_its_command() {
    let cause = StopCause::Parent;
    let pending_actions = [
        PendingAction::Cancel { cause },
        PendingAction::Force { cause },
        PendingAction::Pause,
        PendingAction::Resume,
        PendingAction::RetryNow,
        PendingAction::Signal { signal: Signal::new(1).unwrap(), target: SignalTarget::Tree },
        PendingAction::Terminate { cause, force: false },
        PendingAction::Terminate { cause, force: true },
        PendingAction::EndSession { policy: None },
        PendingAction::EndSession { policy: Some(SessionPolicy::Cancel) },
        PendingAction::EndSession { policy: Some(SessionPolicy::Grace(Duration::from_secs(9))) },
    ];
    for (row, Situation { process, ctx, live_stats }) in situations() {
        for wish in pending_actions {
            let wished = Input::Observation(Observation::ActionRequested(wish));
            let commanded = Input::Action(wish.command());
            assert_eq!(
                process.decide(&ctx, &live_stats, &wished),
                process.decide(&ctx, &live_stats, &commanded),
                "[{row}] {wish:?}"
            );
        }
    }
}

#[test]
fn every_event_has_the_decision_time_except_observations() {
    for (row, situation) in situations() {
        for name in COLUMNS {
            let mut life = situation.clone().later(1);
            for input in column(name, &situation.process) {
                let turn = turn(&mut life, input);
                for event in turn.answer.unwrap_or_default().events {
                    let ends = matches!(event.fact, Fact::Ended { .. } | Fact::AwaitingChildren { .. });
                    let expected = if ends {
                        moment_of_end(&turn.before, &turn.input, life.ctx.now)
                    } else if matches!(event.fact, Fact::Spawned { .. }) {
                        Timestamp(77)
                    } else if matches!(
                        event.fact,
                        Fact::ConditionStarted { .. }
                            | Fact::ConditionEnded { .. }
                            | Fact::OutputMatched { .. }
                    ) {
                        Timestamp(99).max(turn.before.started_at.unwrap())
                    } else {
                        life.ctx.now
                    };
                    assert_eq!(event.at, expected, "[{row}] {name}");
                }
            }
        }
    }
}

/// Returns the expected time of the event that ends the process or attempt. For an exit, this is the time of the exit,
/// but not before the start. For all other inputs, this is the current time.
fn moment_of_end(before: &Process, input: &Input, now: Timestamp) -> Timestamp {
    let Input::Observation(Observation::Exited { attempt, exit }) = input else { return now };
    // The exit belongs to an earlier attempt that was stopped. It cancels the process now, when it becomes known.
    if *attempt < before.attempt || matches!(before.state, State::Pending(_)) {
        return now;
    }
    exit.at.max(before.started_at.unwrap_or(before.queued_at))
}

#[test]
fn random_scripts_reach_every_state() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..2_000 {
        let script = scripts().new_tree(&mut runner).unwrap().current();
        seen.extend(live(&script).iter().map(|turn| {
            let lingers = matches!(turn.after.state, State::AwaitingChildren(_));
            (turn.after.status(), turn.after.head().slot_state, turn.after.spec.command().is_some(), lingers)
        }));
    }
    // Expected combinations of status, slot state, kind of work and waiting for descendants:
    //
    // - pending: waiting or idle;
    // - running and stopping reported work: with or without a slot;
    // - waiting for descendants: commands and reported work;
    // - ended: every ending, except a timeout of reported work.
    assert_eq!(seen.len(), 23, "{seen:?}");
}

/// Simulates the next external event: either the deadline passes, or the awaited input arrives.
fn answer(life: &mut Situation) {
    match life.process.next_deadline() {
        Some(deadline) => {
            reach(&mut life.ctx, Some(deadline));
            turn(life, Input::Tick);
        }
        None => {
            if let Some(fact) = awaited(&life.process) {
                turn(life, fact);
            }
        }
    }
}

fn life_after(script: &Script) -> Situation {
    let mut life = Situation::of(script.spec.clone());
    if let Some(last) = live(script).pop() {
        life = Situation { process: last.after, ctx: last.ctx, live_stats: last.live_stats };
    }
    life.ctx.now = life.ctx.now.plus(Duration::from_millis(1));
    life
}

fn verb(input: &Input) -> Option<ActionKind> {
    match input {
        Input::Action(command) => Some(command.verb()),
        Input::Observation(Observation::ActionRequested(wish)) => Some(wish.command().verb()),
        Input::Observation(_) | Input::Tick => None,
    }
}
