//! Tests of the fields of a process after its events were applied.

use crate::inputs::{exited, input};
use crate::lives::turn;
use crate::situations::{Situation, awaiting_command, command, command_spec, report, stubborn};
use longhaul_domain::{
    Action, AttemptNo, Cascade, ChildrenPolicy, Containment, Deadline, Effect, Ending, ExitStatus, Input,
    LiveStats, NodeId, Priority, Progress, ProgressReport, RandomBits, RetryPolicy, SessionPolicy, SlotState,
    Spec, Stage, State, Status, StopCause, Timestamp,
};
use std::time::Duration;

#[test]
fn a_placed_command_has_its_node_and_from_the_start_on_its_execution() {
    let starting = command().after(&["claimed"]).process;
    assert_eq!(starting.node, Some(NodeId::new("here").unwrap()));
    assert_eq!((starting.attempt, starting.started_at), (AttemptNo(1), None));
    let running = command().after(&["claimed", "spawned"]).process;
    let execution = running.state.execution().unwrap();
    assert_eq!(execution.started_at, Timestamp(77));
    assert_eq!((execution.pid, execution.containment), (Some(4711), Some(Containment::Cgroup)));
    assert_eq!(running.started_at, Some(Timestamp(77)));
}

#[test]
fn pausing_resuming_and_stopping_keep_the_execution() {
    let running = command().after(&["claimed", "spawned"]);
    let before = running.process.state.execution().copied();
    for way in [&["pause"][..], &["pause", "resume"], &["cancel"], &["pause", "force"]] {
        assert_eq!(running.clone().after(way).process.state.execution().copied(), before, "{way:?}");
    }
}

#[test]
fn a_queued_report_starts_when_it_is_claimed_and_keeps_its_label() {
    let life = crate::situations::queued_report().later(9).after(&["claimed"]);
    assert_eq!(life.process.started_at, Some(life.ctx.now));
    assert_eq!(life.process.node, None, "the claiming node is not the node of the work");
}

#[test]
fn a_stop_with_a_new_cause_keeps_its_start_time() {
    let stopping = stubborn().after(&["claimed", "spawned"]).later(60).after(&["tick"]);
    let began = stopping.ctx.now;
    let taken_over = stopping.later(3).after(&["cancel"]);
    assert!(
        matches!(&taken_over.process.state, State::Stopping { since, cause: StopCause::User, .. } if *since == began),
        "{:?}",
        taken_over.process.state
    );
}

#[test]
fn an_acknowledged_cancel_names_its_author() {
    let mut life = report();
    let cause = StopCause::Parent;
    turn(&mut life, Input::Action(Action::Cancel { cause }));
    let life = life.after(&["fail"]);
    let State::Ended(ended) = &life.process.state else { panic!("{:?}", life.process.state) };
    assert_eq!(ended.ending, Ending::Cancelled { by: cause, exit: None });
}

#[test]
fn the_same_stage_again_is_kept_but_is_no_news() {
    let mut life = command().after(&["claimed", "spawned"]);
    let first = turn(&mut life, input("progress", AttemptNo(1))).answer.unwrap();
    let again = turn(&mut life, input("progress", AttemptNo(1))).answer.unwrap();
    assert_eq!((first.events.len(), again.events.len()), (1, 0));
    assert!(matches!(again.effects[..], [Effect::Keep { .. }]), "{:?}", again.effects);
}

#[test]
fn a_report_without_stage_or_percent_is_a_sign_of_life_and_leaves_both() {
    let stage = Some(Stage::new("linking").unwrap());
    let half = Some(Progress::from_hundredths(5_000));
    let told = LiveStats::default().reported(
        Timestamp(5),
        &ProgressReport { progress: half, stage: stage.clone(), ..ProgressReport::default() },
    );
    let beat = told.reported(Timestamp(9), &ProgressReport::default());
    assert_eq!((beat.progress, beat.stage, beat.last_heartbeat), (half, stage, Some(Timestamp(9))));
    assert_eq!(beat.progress_rate, told.progress_rate);
}

#[test]
fn each_retry_waits_twice_as_long_up_to_its_cap() {
    let mut spec = command_spec();
    spec.retry = RetryPolicy { retries: 5, cap: Duration::from_secs(5), ..RetryPolicy::none() };
    let mut life = Situation::of(spec);
    for wait in [500, 1_000, 2_000, 2_500, 2_500] {
        life.ctx.chance = RandomBits(0);
        life = life.after(&["claimed", "spawned", "exited_1"]);
        assert_eq!(life.process.next_deadline(), Some(Deadline::At(Timestamp(life.ctx.now.0 + wait))));
        life = life.after(&["retry_now"]);
    }
    let spent = life.after(&["claimed", "spawned", "exited_1"]);
    assert_eq!(spent.process.status(), Status::Failed);
}

#[test]
fn only_the_listed_codes_are_tried_again() {
    let mut spec = command_spec();
    spec.retry = RetryPolicy { retries: 1, codes: vec![75], ..RetryPolicy::none() };
    let killed = ExitStatus::Signal { number: 9, core: false };
    assert_eq!(after_exit(&spec, ExitStatus::Code(75)), Status::Pending);
    assert_eq!(after_exit(&spec, ExitStatus::Code(1)), Status::Failed);
    assert_eq!(after_exit(&spec, killed), Status::Failed);
    spec.retry.codes.clear();
    assert_eq!(after_exit(&spec, killed), Status::Pending);
}

#[test]
fn only_starts_in_a_row_that_never_ran_count() {
    let four = (0..4).fold(stubborn(), |life, _| life.after(&["claimed", "never_ran"]));
    let ran = four.after(&["claimed", "spawned", "exited_1", "retry_now"]);
    let again = ran.after(&["claimed", "never_ran"]);
    assert_eq!((again.process.never_ran, again.process.status()), (1, Status::Pending));
    assert_eq!(again.process.retries, 1, "an attempt that never ran uses no retry");
}

#[test]
fn a_retry_remembers_how_the_last_attempt_ended() {
    let life = stubborn().after(&["claimed", "spawned", "supervisor_lost"]);
    let State::Pending(longhaul_domain::Pending::Retrying { after, .. }) = &life.process.state else {
        panic!("{:?}", life.process.state)
    };
    assert_eq!(after.status(), Status::Interrupted);
}

#[test]
fn a_process_that_waits_for_descendants_has_no_slot_and_requests_their_inspection() {
    let life = awaiting_command().after(&["claimed", "spawned"]).later(5).after(&["exited_1"]).later(5);
    let State::AwaitingChildren(lingering) = &life.process.state else { panic!("{:?}", life.process.state) };
    assert_eq!(lingering.since, Timestamp(88), "counted from the exit");
    assert_eq!(lingering.ending.status(), Status::Failed);
    assert_eq!((life.process.wanted(), life.process.wanted_below()), (None, Some(Effect::AwaitDescendants)));
    let head = life.process.head();
    assert_eq!((head.status, head.slot_state, head.closing), (Status::Running, SlotState::Idle, false));
    assert_eq!((head.due, head.completed_at), (Some(life.process.queued_at), None));
    let ended = life.clone().after(&["descendants_ended"]).process;
    assert_eq!((ended.completed_at(), ended.due()), (Some(life.ctx.now), None));
}

#[test]
fn a_mark_outlasts_the_end_until_all_below_have_ended() {
    let life = command().after(&["claimed", "spawned", "terminate", "exited_0"]);
    let mark = Cascade { cause: StopCause::User, force: false };
    assert_eq!((life.process.status(), life.process.cascade), (Status::Cancelled, Some(mark)));
    assert_eq!(life.process.wanted_below(), Some(Effect::Cascade { force: false }));
    assert_eq!(life.process.head().due, Some(life.process.queued_at), "the process is not pruned");
    let done = life.after(&["descendants_ended"]).process;
    assert_eq!((done.cascade, done.wanted_below(), done.head().due), (None, None, None));
}

#[test]
fn to_kill_the_tree_is_more_than_to_cancel_it_and_is_not_taken_back() {
    let mut life = command().after(&["claimed", "spawned", "terminate", "terminate_now"]);
    let killed = Some(Cascade { cause: StopCause::User, force: true });
    assert_eq!(life.process.cascade, killed);
    let cause = StopCause::Session;
    let again = turn(&mut life, Input::Action(Action::Terminate { cause, force: false })).answer.unwrap();
    assert_eq!(life.process.cascade, killed);
    assert_eq!(again.effects, [Effect::Cascade { force: true }]);
}

#[test]
fn children_that_go_along_go_because_of_their_parent() {
    let life = command().with_children(ChildrenPolicy::Cancel).after(&["claimed", "spawned", "exited_0"]);
    assert_eq!(life.process.cascade, Some(Cascade { cause: StopCause::Parent, force: false }));
}

#[test]
fn a_session_end_applies_the_declared_policy_unless_it_contains_one() {
    let grace = SessionPolicy::Grace(Duration::from_secs(9));
    let after = |declared, said| {
        let mut life = Situation::of(Spec { on_session_end: declared, ..command_spec() });
        turn(&mut life, Input::Action(Action::EndSession { policy: said })).answer.unwrap();
        (life.process.status(), life.process.cancel_at.map(|cancel_at| cancel_at.since(life.ctx.now)))
    };
    let stays = (Status::Pending, None);
    let may_stay = |seconds| (Status::Pending, Some(Duration::from_secs(seconds)));
    let goes = (Status::Cancelled, None);
    assert_eq!(after(SessionPolicy::Keep, None), stays);
    assert_eq!(after(SessionPolicy::Cancel, None), goes);
    assert_eq!(after(grace, None), may_stay(9));
    assert_eq!(after(SessionPolicy::Cancel, Some(SessionPolicy::Keep)), stays);
    assert_eq!(after(SessionPolicy::Keep, Some(SessionPolicy::Cancel)), goes);
    assert_eq!(after(grace, Some(SessionPolicy::Grace(Duration::ZERO))), may_stay(0));
}

#[test]
fn a_move_in_the_queue_changes_the_record_but_not_the_spec() {
    let moved = command().after(&["prioritize"]).process;
    assert_eq!((moved.priority.value(), moved.head().priority.value()), (7, 7));
    assert_eq!(moved.spec.priority, Priority::default());
    let claimed = command().after(&["prioritize", "claimed", "never_ran"]).process;
    assert_eq!(claimed.priority.value(), 7, "the process returns to the position that it was moved to");
}

fn after_exit(spec: &Spec, status: ExitStatus) -> Status {
    let mut life = Situation::of(spec.clone()).after(&["claimed", "spawned"]);
    turn(&mut life, exited(AttemptNo(1), status, None));
    life.process.status()
}
