//! Whole histories of processes: a spec and the events that happen to the process.

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

/// A spec and the events that happen to its process, in order.
#[derive(Clone, Debug)]
pub struct ProcessScript {
    /// Spec of the process.
    pub spec: Spec,
    /// Events that happen to the process, in order.
    pub moves: Vec<ScriptEvent>,
}

/// An input of the process, with the time since the previous input.
#[derive(Clone, Debug)]
pub struct ScriptEvent {
    /// Time since the previous input.
    pub pass: Duration,
    /// Random bits that the decision may use.
    pub chance: RandomBits,
    /// Input to the process.
    pub input: Input,
    /// True if an observation is changed so that it refers to the current attempt. False if the observation keeps its
    /// generated attempt number.
    pub aimed: bool,
}

/// A process after one of its inputs, with the events of that input.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedRecord {
    /// Process after the input.
    pub process: Process,
    /// Events that were added after the previous record.
    pub events: Vec<Event>,
    /// Input that caused the events, with its final attempt number; `None` for the submission.
    pub input: Option<Input>,
    /// Context of the decision.
    pub ctx: DecisionContext,
}

/// Generates histories of up to `limit` inputs. Most observations refer to the current attempt, so that processes
/// advance.
pub fn lives(limit: usize) -> impl Strategy<Value = ProcessScript> {
    let step = (span(), any::<u64>(), inputs(), proptest::bool::weighted(0.85)).prop_map(
        |(pass, chance, input, aimed)| ScriptEvent { pass, chance: RandomBits(chance), input, aimed },
    );
    (specs(), vec(step, 0..=limit)).prop_map(|(spec, moves)| ProcessScript { spec, moves })
}

impl ProcessScript {
    /// Decides all inputs in order. Returns one record for the submission and one for each input that the domain rules
    /// did not refuse.
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
    /// Returns the input. If [`aimed`](Self::aimed) is set, its attempt number is adapted to the process.
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

/// Makes an observation refer to this attempt. A claim refers to the next attempt instead.
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
        | Observation::OutputMatched { attempt, .. }
        | Observation::OutcomeRead { attempt, .. }
        | Observation::TestsCounted { attempt, .. }
        | Observation::TestsReported { attempt, .. }
        | Observation::ProgressObserved { attempt, .. } => *attempt = present,
        Observation::OwnerLost
        | Observation::ActionRequested(_)
        | Observation::NodeLost { .. }
        | Observation::HeartbeatMissed { .. } => {}
    }
}
