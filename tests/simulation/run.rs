//! Runs the simulation with one seed.

use crate::redis::Server;
use crate::specs::KEYS;
use crate::witness::Sabotage;
use crate::world::{Place, Wall, World};
use longhaul_domain::{ProcessId, SlotKey};
use std::time::Duration;

/// The result of running the simulation with one seed.
pub(crate) struct Outcome {
    pub(crate) log: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) events: u64,
    pub(crate) crashes: u64,
    /// Number of attempts that were lost with their node.
    pub(crate) losses: u64,
    /// Number of checks that found an attempt running elsewhere although a newer attempt of the same process had
    /// started.
    pub(crate) again: u64,
}

/// Time in seconds that the simulation has to settle after the faults were switched off.
const REST: u64 = 60;
/// Like `REST`, for runs in which leases expire. It is longer, because a frozen node continues late.
const LEASED_REST: u64 = 150;
/// Time limit in seconds for all cancelled processes to end.
const END: u64 = 60;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn run(seed: u64) -> Outcome {
    play(seed, None, false, Place::Memory, Wall::Steady)
}

/// Runs a seed while the wall clock is changed repeatedly.
pub(crate) fn run_under_a_wild_clock(seed: u64, leased: bool) -> Outcome {
    play(seed, None, leased, Place::Memory, Wall::Wild)
}

/// Runs a seed with several nodes whose leases expire.
pub(crate) fn run_leased(seed: u64) -> Outcome {
    play(seed, None, true, Place::Memory, Wall::Steady)
}

/// Runs a seed on a real Redis server.
pub(crate) fn run_on_redis(server: &Server, seed: u64, leased: bool) -> Outcome {
    play(seed, None, leased, Place::Redis(server), Wall::Steady)
}

pub(crate) fn run_sabotaged(seed: u64, sabotage: Sabotage) -> Outcome {
    play(seed, Some(sabotage), Sabotage::LEASED.contains(&sabotage), Place::Memory, Wall::Steady)
}

fn play(seed: u64, sabotage: Option<Sabotage>, leased: bool, place: Place<'_>, wall: Wall) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { panic!("seed {seed}: no runtime") };
    let shown = Shown(seed);
    let outcome = runtime.block_on(async {
        let mut world = World::new(seed, sabotage, leased, place, wall);
        let steps = 10 + world.chance.below(40);
        for number in 0..steps {
            world.step(number).await;
        }
        world.calm();
        rest(&mut world, if leased { LEASED_REST } else { REST }).await;
        world.check_settled();
        end_all(&mut world).await;
        world.check_over();
        let crashes = world.crashes;
        world.shared_state.with(|oracle| Outcome {
            log: std::mem::take(&mut oracle.log),
            violations: std::mem::take(&mut oracle.violations),
            events: oracle.events,
            crashes,
            losses: u64::try_from(oracle.lost.len()).unwrap_or(u64::MAX),
            again: oracle.again,
        })
    });
    std::mem::forget(shown);
    outcome
}

/// Prints the seed when it is dropped, which happens only if the run panics.
struct Shown(u64);

impl Drop for Shown {
    fn drop(&mut self) {
        println!("seed {} (replay it with `just sim {}`) panicked", self.0, self.0);
    }
}

/// Lets time pass until all processes and nodes have settled. If a scheduled crash happens, starts the waiting time
/// again.
async fn rest(world: &mut World, long: u64) {
    let mut quiet = 0;
    while quiet < long {
        let before = world.crashes;
        world.pass(SECOND).await;
        quiet = if world.crashes == before { quiet + 1 } else { 0 };
    }
}

async fn end_all(world: &mut World) {
    for round in 0..END {
        let live: Vec<ProcessId> = world.shared_state.with(|oracle| {
            let live = oracle.lives.iter().filter(|(_, life)| !life.has_ended());
            live.map(|(id, _)| *id).collect()
        });
        if live.is_empty() {
            return;
        }
        if round % 10 == 0 {
            tell_all(world, live, round);
        }
        world.pass(SECOND).await;
    }
}

fn tell_all(world: &World, live: Vec<ProcessId>, round: u64) {
    let engines = world.engines();
    // A node may be down at other times, because a scheduled crash may still happen at the next event.
    if engines.len() < world.nodes.len() && (round == 0 || round + 10 >= END) {
        world.shared_state.with(|oracle| oracle.violated("a node did not come up again"));
    }
    let Some(engine) = engines.into_iter().next() else { return };
    let oracle = world.shared_state.oracle.clone();
    tokio::spawn(async move {
        for key in KEYS.iter().filter_map(|key| SlotKey::new(key).ok()) {
            let released = engine.release_queue(&key).await;
            if let (Err(error), Ok(mut oracle)) = (released, oracle.lock()) {
                oracle.violated(format_args!("{key} cannot be released: {error}"));
            }
        }
        for id in live {
            let reported = engine.terminate(id, false, None).await;
            if let (Err(error), Ok(mut oracle)) = (reported, oracle.lock()) {
                let name = oracle.name(id);
                oracle.violated(format_args!("{name} cannot be ended: {error}"));
            }
        }
    });
}
