//! Measures the number of decisions per second on one core.

use super::Found;
use crate::Failure;
use crate::figures::DECISIONS;
use crate::sample::Sample;
use longhaul_domain::{
    Action, AttemptNo, AwakeTime, Capabilities, CommandSpec, Containment, DecisionContext, Exit,
    ExitCircumstances, ExitStatus, Input, Lineage, LiveStats, NodeId, Observation, Process, ProcessId,
    ProgressReport, RandomBits, Spec, Stage, Status, Timestamp, Usage, Work,
};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
const EXIT: Exit = Exit {
    status: ExitStatus::Code(0),
    at: BEGIN,
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

pub(super) fn decisions(_: &Path, quick: bool) -> Result<Found, Failure> {
    let script = script()?;
    let mut command = CommandSpec::of("make", &["all"], "/src");
    command.timeout = Some(Duration::from_secs(60));
    let spec = Arc::new(Spec::of(Work::Command(Box::new(command))));
    let id = longhaul_ports::IdSource::process(&longhaul_adapters::system::RandomIds);
    let lives: u32 = if quick { 20_000 } else { 200_000 };
    let mut sample = Sample::default();
    for _ in 0..3 {
        let began = Instant::now();
        for _ in 0..lives {
            if live(id, &spec, &script)? != Status::Completed {
                return Err("a process did not end as expected".into());
            }
        }
        let made = f64::from(lives) * f64::from(u32::try_from(script.len())?);
        sample.add(made / began.elapsed().as_secs_f64());
    }
    Ok(vec![(DECISIONS, sample.median()?)])
}

fn live(id: ProcessId, spec: &Arc<Spec>, script: &[Input]) -> Result<Status, Failure> {
    let mut ctx = DecisionContext {
        now: BEGIN,
        awake: AwakeTime(0),
        chance: RandomBits(1),
        capabilities: Capabilities::ALL,
    };
    let (mut process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::clone(spec));
    let live_stats = LiveStats::default();
    for input in script {
        ctx.awake.0 += 1;
        let step = process.decide(&ctx, &live_stats, black_box(input))?;
        process.evolve(&step.events);
    }
    Ok(black_box(process.status()))
}

/// Returns the inputs that take a process from its claim to its end.
fn script() -> Result<Vec<Input>, Failure> {
    let attempt = AttemptNo(1);
    let report = |stage: &str| -> Result<Input, Failure> {
        Ok(Input::Action(Action::Progress(ProgressReport {
            progress: None,
            stage: Some(Stage::new(stage)?),
            ..ProgressReport::default()
        })))
    };
    let containment = Some(Containment::Cgroup);
    Ok(vec![
        Input::Observation(Observation::Claimed { attempt, node: NodeId::new("here")? }),
        Input::Observation(Observation::Spawned { attempt, pid: Some(4_711), containment, at: BEGIN }),
        report("compiling")?,
        Input::Action(Action::Pause),
        Input::Action(Action::Resume),
        report("linking")?,
        Input::Tick,
        Input::Observation(Observation::Exited { attempt, exit: EXIT }),
    ])
}
