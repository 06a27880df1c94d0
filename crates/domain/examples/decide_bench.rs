//! Prints how many decisions one core makes per second: `cargo run --release -p longhaul-domain --example
//! decide_bench`.
//!
//! A decision is one call of `decide`, followed by a call of `evolve`. The measurement covers processes from their
//! submission to their end.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch reads the clock and prints; the rules themselves do neither"
)]

use longhaul_domain::{
    Action, AttemptNo, AwakeTime, Capabilities, CommandSpec, Containment, DecisionContext, Exit,
    ExitCircumstances, ExitStatus, Input, InvalidText, Lineage, LiveStats, NodeId, Observation, Process,
    ProcessId, ProgressReport, RandomBits, Spec, Stage, Status, Timestamp, Usage, Work,
};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Number of decisions per second that a release build must reach on one core of a laptop.
const AIM: f64 = 1_000_000.0;
const LIVES: u32 = 400_000;

fn main() -> Result<(), Box<dyn Error>> {
    let script = script()?;
    let mut command = CommandSpec::of("make", &["all"], "/src");
    command.timeout = Some(Duration::from_secs(60));
    let spec = Arc::new(Spec::of(Work::Command(Box::new(command))));
    let began = Instant::now();
    for number in 0..LIVES {
        let ended = live(u128::from(number), &spec, &script)?;
        if black_box(ended) != Status::Completed {
            return Err("a life did not end as it should".into());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let decisions = f64::from(LIVES) * f64::from(u32::try_from(script.len())?);
    let rate = decisions / seconds;
    let verdict = if rate >= AIM { "met" } else { "missed" };
    println!("{rate:.0} decide + evolve per second (aim {AIM:.0}: {verdict})");
    Ok(())
}

fn live(number: u128, spec: &Arc<Spec>, script: &[Input]) -> Result<Status, Box<dyn Error>> {
    let mut ctx = DecisionContext {
        now: Timestamp(1_700_000_000_000),
        awake: AwakeTime(0),
        chance: RandomBits(1),
        capabilities: Capabilities::ALL,
    };
    let id = ProcessId::new(uuid::Uuid::from_u128(number));
    let (mut process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::clone(spec));
    let live_stats = LiveStats::default();
    for input in script {
        ctx.awake.0 += 1;
        let step = process.decide(&ctx, &live_stats, black_box(input))?;
        process.evolve(&step.events);
    }
    Ok(process.status())
}

fn script() -> Result<Vec<Input>, InvalidText> {
    let attempt = AttemptNo(1);
    let report = |stage: &str| {
        Ok(Input::Action(Action::Progress(ProgressReport {
            progress: None,
            stage: Some(Stage::new(stage)?),
            ..ProgressReport::default()
        })))
    };
    Ok(vec![
        Input::Observation(Observation::Claimed { attempt, node: NodeId::new("here")? }),
        Input::Observation(Observation::Spawned {
            attempt,
            pid: Some(4711),
            containment: Some(Containment::Cgroup),
            at: Timestamp(1_700_000_000_001),
        }),
        report("compiling")?,
        Input::Action(Action::Pause),
        Input::Action(Action::Resume),
        report("linking")?,
        Input::Tick,
        Input::Observation(Observation::Exited { attempt, exit: EXIT }),
    ])
}

const EXIT: Exit = Exit {
    status: ExitStatus::Code(0),
    at: Timestamp(1_700_000_000_002),
    stopped: None,
    last_signal: None,
    leftovers_killed: 0,
    leftovers_found: 0,
    limit: None,
    usage: Usage { user: Duration::ZERO, system: Duration::ZERO, peak_memory: 0 },
    output_bytes: 0,
    dropped_bytes: 0,
    started_at: None,
    circumstances: ExitCircumstances::PLAIN,
    first_error: None,
};
