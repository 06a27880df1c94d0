//! Whole lives: a specification and what happens to it.

use super::inputs::inputs;
use super::specs::{span, specs};
use longhaul_domain::{
    AttemptNo, AwakeTime, Capabilities, DecisionContext, Event, Input, Lineage, LiveStats, Observation,
    Process, ProcessId, RandomBits, Spec, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use std::sync::Arc;
use std::time::Duration;

/// A specification and what happens to it, in order.
#[derive(Clone, Debug)]
pub struct ProcessScript {
    /// What was asked for.
    pub spec: Spec,
    /// What happens.
    pub moves: Vec<ScriptEvent>,
}

/// Something that happens after some time.
#[derive(Clone, Debug)]
pub struct ScriptEvent {
    /// So much time passes before.
    pub pass: Duration,
    /// Random bits that the decision may use.
    pub chance: RandomBits,
    /// What happens.
    pub input: Input,
    /// Whether an observation is of the attempt that fits now; otherwise it names the one that it names.
    pub aimed: bool,
}

/// A process as it is after some of its moves, and what just became true.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedRecord {
    /// The process.
    pub process: Process,
    /// The events since the record before.
    pub events: Vec<Event>,
    /// The input that led to them, as it was aimed; none for the submit.
    pub input: Option<Input>,
    /// What the decision knew.
    pub ctx: DecisionContext,
}

/// Lives of up to `most` moves. Observations mostly fit the present attempt, so that lives get on.
pub fn lives(most: usize) -> impl Strategy<Value = ProcessScript> {
    let step = (span(), any::<u64>(), inputs(), proptest::bool::weighted(0.85)).prop_map(
        |(pass, chance, input, aimed)| ScriptEvent { pass, chance: RandomBits(chance), input, aimed },
    );
    (specs(), vec(step, 0..=most)).prop_map(|(spec, moves)| ProcessScript { spec, moves })
}

impl ProcessScript {
    /// Plays it through the rules: the record after the submit, and after each input that was not refused.
    #[must_use]
    pub fn play(&self) -> Vec<ScriptedRecord> {
        let mut ctx = DecisionContext {
            now: Timestamp(1_000_000_000_000),
            awake: AwakeTime(1_000_000),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        };
        let id = ProcessId::new(uuid::Uuid::from_u128(1));
        let (mut process, events) =
            Process::submit(&ctx, id, Lineage::default(), Arc::new(self.spec.clone()));
        let mut records = vec![ScriptedRecord { process: process.clone(), events, input: None, ctx }];
        for step in &self.moves {
            ctx = DecisionContext {
                now: ctx.now.plus(step.pass),
                awake: ctx.awake.plus(step.pass),
                chance: step.chance,
                ..ctx
            };
            let input = step.aimed_at(&process);
            let Ok(decided) = process.decide(&ctx, &LiveStats::default(), &input) else {
                continue;
            };
            process.evolve(&decided.events);
            records.push(ScriptedRecord {
                process: process.clone(),
                events: decided.events,
                input: Some(input),
                ctx,
            });
        }
        records
    }
}

impl ScriptEvent {
    /// The input with the attempt that it is about.
    #[must_use]
    pub fn aimed_at(&self, process: &Process) -> Input {
        let mut input = self.input.clone();
        if self.aimed
            && let Input::Observation(observation) = &mut input
        {
            aim(observation, process.attempt);
        }
        input
    }
}

/// Makes an observation one of this attempt; a claim of the next one.
pub(crate) fn aim(observation: &mut Observation, present: AttemptNo) {
    match observation {
        Observation::DescendantsEnded => {}
        Observation::Claimed { attempt, .. } => *attempt = present.next(),
        Observation::Spawned { attempt, .. }
        | Observation::SpawnFailed { attempt, .. }
        | Observation::NeverRan { attempt }
        | Observation::AlreadyRan { attempt, .. }
        | Observation::Exited { attempt, .. }
        | Observation::SupervisorLost { attempt, .. }
        | Observation::PauseFailed { attempt }
        | Observation::ConditionObserved { attempt, .. }
        | Observation::OutputMatched { attempt, .. } => *attempt = present,
        Observation::OwnerLost
        | Observation::ActionRequested(_)
        | Observation::NodeLost { .. }
        | Observation::HeartbeatMissed { .. } => {}
    }
}
