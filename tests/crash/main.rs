//! Sweep of crash points. The real manager and real shims run processes of every kind. At each crash point, one of
//! these programs is killed, fails, panics or waits. After each run, a manager without faults reports the results.
//!
//! The sweep runs kills first, then all other faults, each in random order, for `LONGHAUL_CRASH_SECONDS` (default: 40;
//! `all` runs all cases). `LONGHAUL_CRASH_ONLY=sqlite.commit` selects the cases whose rule contains that text.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step fails the test")]
#![cfg_attr(not(debug_assertions), expect(dead_code, unused_imports, reason = "a release has no points"))]

mod calls;
mod case;
mod disk;
mod oracle;
mod power;
mod protection;
mod room;
mod scene;
mod script;
mod stall;
mod sweep;

use case::{Action, Case, Detour, World};
use longhaul_tests::Redis;
use std::collections::{BTreeSet, hash_map::RandomState};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

const SECONDS: u64 = 40;
/// Default time limit. It is so long that no run reaches it.
const NO_LIMIT: Duration = Duration::from_secs(24 * 3600);

#[cfg(debug_assertions)]
#[test]
fn no_fault_at_a_crash_point_breaks_a_promise() {
    let only = std::env::var("LONGHAUL_CRASH_ONLY").ok().filter(|only| !only.is_empty());
    let worlds: Vec<World> =
        World::ALL.into_iter().filter(|world| *world != World::Redis || Redis::is_here()).collect();
    let points = longhaul_tests::points().unwrap();
    assert!(points.len() > 60, "too few points were found: {points:?}");
    let points: Vec<_> =
        points.into_iter().filter(|point| worlds.contains(&World::of(&point.name))).collect();
    let begun = Instant::now();

    let mut wrong = Vec::new();
    if only.is_none() {
        wrong.extend(every_point_is_passed(&worlds, &points));
    }
    let is_wanted = |case: &Case| only.as_ref().is_none_or(|only| case.rule().contains(only.as_str()));
    let all = points.iter().flat_map(Case::of).chain(later_commits()).filter(is_wanted);
    let (mut kills, mut rest): (Vec<Case>, Vec<Case>) = all.partition(|case| case.action == Action::Kill);
    let chance = RandomState::new();
    for cases in [&mut kills, &mut rest] {
        cases.sort_by_cached_key(|case| chance.hash_one(case.rule()));
    }
    let ever = Instant::now() + NO_LIMIT;
    let until = match std::env::var("LONGHAUL_CRASH_SECONDS") {
        _ if only.is_some() => ever,
        Ok(all) if all == "all" => ever,
        Ok(seconds) => begun + Duration::from_secs(seconds.parse().unwrap()),
        Err(_) => begun + Duration::from_secs(SECONDS),
    };
    let killed = sweep::side_by_side(&kills, until, sweep::play);
    let others = sweep::side_by_side(&rest, until, sweep::play);
    eprintln!(
        "{} points: {} of {} kills, {} of {} other faults, in {:.0} s",
        points.len(),
        killed.len(),
        kills.len(),
        others.len(),
        rest.len(),
        begun.elapsed().as_secs_f64()
    );
    wrong.extend(killed.into_iter().chain(others).flatten());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[cfg(debug_assertions)]
#[test]
fn processes_that_a_killed_shim_was_stopping_are_ended() {
    // Kill the shim after the end is recorded but before it is reported, and at the start of a stop.
    assert_eq!(play("shim.exit.durable", Action::Kill), [""; 0]);
    assert_eq!(play("shim.stop", Action::Kill), [""; 0]);
}

#[cfg(debug_assertions)]
#[test]
fn manager_with_a_panic_in_an_essential_task_exits_and_the_next_manager_recovers() {
    assert_eq!(play("engine.commit.ended", Action::Panic), [""; 0]);
}

fn play(point: &str, action: Action) -> Vec<String> {
    sweep::play(&Case { world: World::of(point), point: point.to_owned(), action, pass: 1 })
}

/// Runs the script without the fault of a case, once with each store and each additional action. Reports each crash
/// point that no run passes, because such a crash point would not be tested.
fn every_point_is_passed(worlds: &[World], points: &[longhaul_tests::Point]) -> Vec<String> {
    let mut plays: Vec<(World, Detour)> = worlds.iter().map(|world| (*world, Detour::None)).collect();
    for point in points {
        let play = (World::of(&point.name), Detour::of(&point.name));
        if !plays.contains(&play) {
            plays.push(play);
        }
    }
    let played = sweep::side_by_side(&plays, Instant::now() + NO_LIMIT, |(world, detour)| {
        sweep::play_untouched(*world, *detour)
    });
    let passed: BTreeSet<&String> = played.iter().flat_map(|(_, passed)| passed).collect();
    let missed = points.iter().filter(|point| !passed.contains(&point.name));
    let missed = missed.map(|point| format!("no run passes {}", point.name));
    missed.chain(played.iter().flat_map(|(wrong, _)| wrong.clone())).collect()
}

/// Returns test cases with a kill at later commits. A run has many commits, and the first commit belongs to the start
/// of the manager.
fn later_commits() -> impl Iterator<Item = Case> {
    let points =
        ["sqlite.commit", "sqlite.committed", "fs.commit.sync", "fs.commit.directory", "outbox.commit"];
    points.into_iter().flat_map(|point| {
        [3, 5, 8, 12, 17, 23].into_iter().map(move |pass| Case {
            world: World::of(point),
            point: point.to_owned(),
            action: Action::Kill,
            pass,
        })
    })
}
