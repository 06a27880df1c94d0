//! Generators of random process histories: a spec, then a sequence of likely and unlikely inputs.

use crate::inputs::{COLUMNS, column, input, input_to};
use crate::situations::{Situation, command_spec};
use longhaul_domain::{
    ChildrenPolicy, Deadline, Decision, DecisionContext, Effect, Input, LiveStats, Pending, Process,
    RandomBits, Rejection, ReportedSpec, RetryPolicy, SessionPolicy, Spec, State, Timestamp, Work,
};
use proptest::prelude::*;
use std::time::Duration;

/// A spec and the steps that are applied to its process, in order.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) spec: Spec,
    pub(crate) moves: Vec<Move>,
}

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    /// Time passes, then a tick is sent. Both durations are in milliseconds; `asleep` is the part in which the machine
    /// is suspended.
    Wait { awake: u64, asleep: u64 },
    /// Time advances to the next deadline, then a tick is sent.
    Deadline,
    /// An input that is likely in the current state, chosen by this number.
    Likely(usize),
    /// An input of any kind, chosen by this number.
    Any(usize),
}

/// One decision: the process and the context before the input, the input, the decision, and the process afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) before: Process,
    pub(crate) ctx: DecisionContext,
    pub(crate) live_stats: LiveStats,
    pub(crate) input: Input,
    pub(crate) answer: Result<Decision, Rejection>,
    pub(crate) after: Process,
}

/// Generates scripts for every kind of work, long enough for several attempts.
pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    (specs(), prop::collection::vec(moves(), 0..60)).prop_map(|(spec, moves)| Script { spec, moves })
}

/// Executes a script and returns all decisions.
pub(crate) fn live(script: &Script) -> Vec<Turn> {
    let mut life = Situation::of(script.spec.clone());
    let mut turns = Vec::new();
    for (index, step) in script.moves.iter().enumerate() {
        life.ctx.chance = RandomBits(index as u64 * 7_919);
        let inputs = match step {
            Move::Wait { awake, asleep } => {
                pass(&mut life.ctx, *awake, *asleep);
                vec![Input::Tick]
            }
            Move::Deadline => {
                let deadline = next_deadline(&life);
                reach(&mut life.ctx, deadline);
                vec![Input::Tick]
            }
            Move::Likely(pick) => {
                let names = likely(&life.process.state);
                column(names[pick % names.len()], &life.process)
            }
            Move::Any(pick) => column(COLUMNS[pick % COLUMNS.len()], &life.process),
        };
        for input in inputs {
            turns.push(turn(&mut life, input));
        }
    }
    turns
}

/// Decides one input and applies the result.
pub(crate) fn turn(life: &mut Situation, input: Input) -> Turn {
    let before = life.process.clone();
    let live_stats = life.live_stats.clone();
    let answer = life.process.decide(&life.ctx, &life.live_stats, &input);
    if let Ok(step) = &answer {
        life.process.evolve(&step.events);
        for effect in &step.effects {
            if let Effect::Keep { report } = effect {
                life.live_stats = life.live_stats.reported(life.ctx.now, report);
            }
        }
    }
    Turn { before, ctx: life.ctx, live_stats, input, answer, after: life.process.clone() }
}

/// Returns the deadline of the state or the deadline of the session, whichever is earlier.
pub(crate) fn next_deadline(life: &Situation) -> Option<Deadline> {
    let wait = |deadline| match deadline {
        Deadline::At(at) => at.since(life.ctx.now),
        Deadline::Awake(at) => at.since(life.ctx.awake),
    };
    let session = life.process.session_deadline().map(Deadline::At);
    life.process.next_deadline().into_iter().chain(session).min_by_key(|deadline| wait(*deadline))
}

/// Advances the clocks to a deadline. Does nothing without a deadline or if the deadline is in the past.
pub(crate) fn reach(ctx: &mut DecisionContext, deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline::At(at)) => ctx.now = ctx.now.max(at),
        Some(Deadline::Awake(at)) => {
            let span = at.since(ctx.awake);
            ctx.now = ctx.now.plus(span);
            ctx.awake = ctx.awake.plus(span);
        }
        None => {}
    }
}

/// Returns an input that ends the current state. Returns `None` if the process has ended, or if only a deadline can end
/// the state.
pub(crate) fn awaited(process: &Process) -> Option<Input> {
    let present = process.attempt;
    match &process.state {
        State::Pending(Pending::Queued) => Some(input("claimed", present.next())),
        State::Pending(Pending::Delayed { .. }) | State::Ended(_) => None,
        State::Pending(Pending::Retrying { .. }) => Some(input("retry_now", present)),
        State::Starting { .. } => Some(input("spawned", present)),
        State::Running { .. } | State::Stopping { .. } => Some(input_to(process, "exited_0", present)),
        State::Reported { .. } | State::CancelRequested { .. } => Some(input("complete", present)),
        State::Paused { .. } => Some(input("resume", present)),
        State::AwaitingChildren(_) => Some(input("descendants_ended", present)),
    }
}

/// Generates facts in random order, including orders that no decision would produce.
pub(crate) fn wild_events() -> impl Strategy<Value = Vec<longhaul_domain::Event>> {
    let decided = scripts().prop_map(|script| {
        live(&script)
            .into_iter()
            .filter_map(|turn| turn.answer.ok())
            .flat_map(|step| step.events)
            .collect::<Vec<_>>()
    });
    prop::collection::vec(decided, 1..6).prop_map(|lives| lives.concat()).prop_shuffle()
}

/// Generates specs of every kind of work.
pub(crate) fn specs() -> impl Strategy<Value = Spec> {
    let commands = prop::option::of(0_u64..100).prop_map(|timeout| {
        let Work::Command(mut command) = command_spec().work else { unreachable!("the work is a command") };
        command.timeout = timeout.map(Duration::from_secs);
        Work::Command(command)
    });
    let reports = (any::<bool>(), prop::option::of(1_u64..100)).prop_map(|(queued, heartbeat)| {
        Work::Reported(ReportedSpec {
            queued,
            heartbeat: heartbeat.map(Duration::from_secs),
            ..ReportedSpec::default()
        })
    });
    let work = prop_oneof![3 => commands, 1 => reports];
    let moments = prop::option::weighted(0.2, 0_i64..100_000);
    let after = (children(), session_policies());
    (work, retries(), moments, after).prop_map(|(work, retry, later, (children, on_session_end))| Spec {
        retry,
        children,
        on_session_end,
        not_before: later.map(|later| Timestamp(1_700_000_000_000 + later)),
        ..Spec::of(work)
    })
}

fn retries() -> impl Strategy<Value = RetryPolicy> {
    (0_u32..4, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(retries, timeout, lost, picky)| {
        RetryPolicy {
            retries,
            after_timeout: timeout,
            after_interruption: lost,
            codes: if picky { vec![1, 75] } else { Vec::new() },
            ..RetryPolicy::none()
        }
    })
}

fn children() -> impl Strategy<Value = ChildrenPolicy> {
    prop_oneof![Just(ChildrenPolicy::Keep), Just(ChildrenPolicy::Cancel), Just(ChildrenPolicy::Wait)]
}

fn session_policies() -> impl Strategy<Value = SessionPolicy> {
    let grace = (0_u64..100).prop_map(|seconds| SessionPolicy::Grace(Duration::from_secs(seconds)));
    prop_oneof![Just(SessionPolicy::Keep), Just(SessionPolicy::Cancel), grace]
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        2 => (0_u64..40_000, 0_u64..40_000).prop_map(|(awake, asleep)| Move::Wait { awake, asleep }),
        2 => Just(Move::Deadline),
        8 => any::<usize>().prop_map(Move::Likely),
        2 => any::<usize>().prop_map(Move::Any),
    ]
}

const fn likely(state: &State) -> &'static [&'static str] {
    match state {
        State::Pending(Pending::Queued) => &["claimed", "claimed", "claimed", "prioritize", "end_session"],
        State::Pending(Pending::Delayed { .. } | Pending::Retrying { .. }) => {
            &["tick", "retry_now", "prioritize"]
        }
        State::Starting { .. } => &["spawned", "spawned", "never_ran", "exited_1", "cancel", "progress"],
        State::Running { .. } => {
            &["pause", "progress", "exited_1", "exited_0", "cancel", "node_lost", "terminate", "end_session"]
        }
        State::Reported { .. } => &["progress", "progress", "cancel", "complete", "fail", "terminate"],
        State::Paused { .. } => &["resume", "resume", "pause_failed", "cancel", "force"],
        State::Stopping { .. } => &["cancel", "force", "spawned", "exited_1", "exited_0", "orphaned"],
        State::CancelRequested { .. } => &["progress", "fail", "cancel", "complete"],
        State::AwaitingChildren(_) => {
            &["terminate", "terminate_now", "end_session", "tick", "descendants_ended"]
        }
        State::Ended(_) => {
            &["terminate", "descendants_ended", "exited_1", "restart", "cancel", "complete", "fail"]
        }
    }
}

fn pass(ctx: &mut DecisionContext, awake: u64, asleep: u64) {
    ctx.awake = ctx.awake.plus(Duration::from_millis(awake));
    ctx.now = ctx.now.plus(Duration::from_millis(awake.saturating_add(asleep)));
}
