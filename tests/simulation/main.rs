//! Simulation of whole deployments in virtual time: several engines with one store, and random faults.
//!
//! Everything follows from one seed: ids, random numbers, faults, crashes, scripts and requests. The same seed gives
//! the same log, byte for byte. `LONGHAUL_SIM_SEED=7` replays one seed and prints its log,
//! `LONGHAUL_SIM_SEEDS=100000` runs that number of seeds.
//!
//! Half of the seeds have leases that never expire: a crashed node returns, and no other node takes over its processes.
//! In the other half, leases expire: nodes are cut off from the store, frozen, or down for longer than a lease and its
//! grace. `LONGHAUL_SIM_LEASED=1` replays a seed of that half.
//!
//! Some seeds also run on a real Redis, in the same virtual time. `LONGHAUL_SIM_REDIS_SEEDS=50` runs more, and
//! `LONGHAUL_SIM_REDIS=1` replays one on Redis.

#![expect(clippy::print_stdout, reason = "a replay prints the log of its seed")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod checks;
mod forgetful;
mod node;
mod oracle;
mod redis;
mod run;
mod settled;
mod specs;
mod witness;
mod workload;
mod world;

use longhaul_tests::wanted;
use run::{Outcome, run, run_leased, run_on_redis, run_sabotaged, run_under_a_wild_clock};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use witness::Sabotage;

/// First of the seeds that are run, unless an environment variable sets another one.
const FIRST: u64 = 1;
const SEEDS: u64 = 1_000;
const TWICE: u64 = 20;
const WILD: u64 = 8;
const LEASED_SEEDS: u64 = 200;
/// First of the consecutive seeds that run on Redis. Nodes are lost in them. Each seed runs with and without expiring
/// leases, and takes some seconds.
const REDIS_FIRST: u64 = 27;
const REDIS_SEEDS: u64 = 3;
/// Number of seeds. At least one of them leads to this situation: a machine resumes after a freeze and still runs a
/// process that another node has started again.
const SEEDS_WITH_COPIES: u64 = 1_000;
/// Seeds that once revealed a defect. They run in addition to the other seeds.
const LESSONS: [u64; 7] = [1_011_477, 1_013_885, 2_002_176, 2_039_104, 2_047_901, 4_093_522, 5_055_053];

#[test]
fn no_seed_breaks_a_promise() {
    let first = wanted("LONGHAUL_SIM_FIRST").unwrap_or(FIRST);
    let after = first + wanted("LONGHAUL_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, events, crashes) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let failed = scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= after || failed.len() >= 3 {
                    return failed;
                }
                let outcome = run(seed);
                events.fetch_add(outcome.events, Ordering::Relaxed);
                crashes.fetch_add(outcome.crashes, Ordering::Relaxed);
                if !outcome.violations.is_empty() {
                    failed.push((seed, outcome.violations));
                }
            }
        };
        let threads = available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|_| panicked()))
            .collect::<Vec<_>>()
    });
    println!("{} seeds, {events:?} events, {crashes:?} crashes", after - first);
    assert!(failed.is_empty(), "{}", told(&failed));
    assert!(crashes.into_inner() > 0 && events.into_inner() > 0, "the seeds covered nothing");
}

#[test]
fn no_seed_with_several_nodes_breaks_a_promise() {
    let first = wanted("LONGHAUL_SIM_FIRST").unwrap_or(FIRST);
    let many = wanted("LONGHAUL_SIM_SEEDS").unwrap_or(LEASED_SEEDS);
    let mut failed = Vec::new();
    let (mut losses, mut again) = (0, 0);
    for seed in first..first + many {
        let outcome = run_leased(seed);
        losses += outcome.losses;
        again += outcome.again;
        if !outcome.violations.is_empty() {
            failed.push((seed, outcome.violations));
        }
        if failed.len() >= 3 {
            break;
        }
    }
    println!(
        "{losses} attempts were lost with their nodes, {again} checks found a copy next to a newer attempt"
    );
    assert!(failed.is_empty(), "{}", told(&failed));
    assert!(losses > 0, "no attempt was lost");
    // Two attempts of one process run at the same time only if a machine is frozen for a long time, which is rare.
    assert!(again > 0 || many < SEEDS_WITH_COPIES, "no process ever ran twice");
}

#[test]
fn the_same_seed_with_several_nodes_gives_the_same_log() {
    for seed in FIRST..FIRST + TWICE {
        assert_eq!(run_leased(seed).log, run_leased(seed).log, "seed {seed}");
    }
}

#[test]
fn no_seed_on_a_real_redis_breaks_a_promise() {
    let Some(server) = redis::Server::start() else { return };
    let first = wanted("LONGHAUL_SIM_FIRST").unwrap_or(REDIS_FIRST);
    let many = wanted("LONGHAUL_SIM_REDIS_SEEDS").unwrap_or(REDIS_SEEDS);
    let mut failed = Vec::new();
    let (mut events, mut crashes, mut losses) = (0, 0, 0);
    for (seed, leased) in (first..first + many).flat_map(|seed| [(seed, false), (seed, true)]) {
        let outcome = run_on_redis(&server, seed, leased);
        events += outcome.events;
        crashes += outcome.crashes;
        losses += outcome.losses;
        if !outcome.violations.is_empty() {
            failed.push((seed, outcome.violations));
        }
        if failed.len() >= 3 {
            break;
        }
    }
    println!("{events} events, {crashes} crashes, {losses} attempts were lost with their nodes");
    assert!(failed.is_empty(), "with `LONGHAUL_SIM_REDIS=1`: {}", told(&failed));
    assert!(events > 0 && crashes > 0 && losses > 0, "the seeds covered nothing");
}

#[test]
fn the_same_seed_on_a_real_redis_gives_the_same_log() {
    let Some(server) = redis::Server::start() else { return };
    for leased in [false, true] {
        let [one, other] = [(); 2].map(|()| run_on_redis(&server, FIRST + 1, leased).log);
        assert_eq!(one, other, "leased: {leased}");
    }
}

#[test]
fn seeds_that_once_showed_a_mistake_show_none() {
    let failed = LESSONS.map(|seed| (seed, run(seed).violations));
    let failed: Vec<_> = failed.into_iter().filter(|(_, violations)| !violations.is_empty()).collect();
    assert!(failed.is_empty(), "{}", told(&failed));
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in FIRST..FIRST + TWICE {
        let (one, other) = (run(seed), run(seed));
        let differs = one.log.iter().zip(&other.log).position(|(one, other)| one != other);
        if let Some(line) = differs {
            let lines = (one.log.get(line), other.log.get(line));
            panic!("seed {seed} differs in line {line}: {lines:#?}");
        }
        assert_eq!(one.log.len(), other.log.len(), "seed {seed}");
    }
}

#[test]
fn repeated_changes_of_the_wall_clock_do_not_change_the_log() {
    for seed in FIRST..FIRST + WILD {
        assert_eq!(run(seed).log, run_under_a_wild_clock(seed, false).log, "seed {seed}");
        assert_eq!(run_leased(seed).log, run_under_a_wild_clock(seed, true).log, "seed {seed}, leased");
    }
}

#[test]
fn a_seed_can_be_replayed() {
    let Some(seed) = wanted("LONGHAUL_SIM_SEED") else {
        assert!(!run(FIRST).log.is_empty(), "a replay shows its log");
        return;
    };
    let leased = std::env::var_os("LONGHAUL_SIM_LEASED").is_some();
    let server = std::env::var_os("LONGHAUL_SIM_REDIS").and_then(|_| redis::Server::start());
    let outcome = match &server {
        Some(server) => run_on_redis(server, seed, leased),
        None if leased => run_leased(seed),
        None => run(seed),
    };
    for line in &outcome.log {
        println!("{line}");
    }
    assert!(outcome.violations.is_empty(), "{}", told(&[(seed, outcome.violations)]));
}

#[test]
fn the_oracle_sees_a_store_that_breaks_a_promise() {
    for sabotage in Sabotage::ALL.into_iter().chain(Sabotage::LEASED) {
        let seen = (FIRST..FIRST + 400).any(|seed| {
            let Outcome { violations, .. } = run_sabotaged(seed, sabotage);
            violations.iter().any(|violation| violation.contains(sabotage.shows()))
        });
        assert!(seen, "the oracle did not notice {sabotage:?}");
    }
}

fn panicked() -> ! {
    panic!("a seed panicked; it is named above")
}

fn told(failed: &[(u64, Vec<String>)]) -> String {
    let told = failed.iter().map(|(seed, violations)| {
        format!("seed {seed} (replay it with `just sim {seed}`):\n  {}", violations.join("\n  "))
    });
    told.collect::<Vec<_>>().join("\n")
}
