//! One machine for a long time: two hundred live processes, while managers, supervisors and clients are killed.
//!
//! In the first two thirds the manager is killed at random moments, while it begins too; supervisors are killed beside it
//! or while it is away; clients are killed in the middle of what they ask. In the last third one manager lives on under
//! the same work, so that what it does not let go of adds up. Then all work ends, and what came of it is held to what was
//! promised: by the records, by what clients were told, by a journal to which the commands themselves wrote, and by what
//! is left on the machine.
//!
//! `LONGHAUL_SOAK_SECONDS` says for how long, `LONGHAUL_SOAK_SEED` what is drawn. A seed repeats the plan and not its
//! course: the machine has a say in that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what a run saw is the point of a long one")]

mod crowd;
mod ground;
mod havoc;
mod journal;
mod leaks;
mod ledger;
mod manager;
mod settling;
mod truth;

use crowd::Crowd;
use ground::Ground;
use havoc::Havoc;
use leaks::Before;
use longhaul_tests::{Chance, Findings, Owner, fresh_seed, wanted};
use std::time::{Duration, Instant};

/// How long a run lasts unless it is told otherwise.
const SECONDS: u64 = 45;

#[test]
fn work_outlives_every_kill_and_leaves_nothing_behind() {
    let seconds = wanted("LONGHAUL_SOAK_SECONDS").unwrap_or(SECONDS);
    let seed = wanted("LONGHAUL_SOAK_SEED").unwrap_or_else(fresh_seed);
    println!("soak: seed {seed}, {seconds} s");
    let mut chance = Chance::seeded(seed);
    let folder = tempfile::Builder::new().prefix("lh-soak-").tempdir().unwrap();
    let ground = Ground::below(folder.path(), Owner::of_run(seed));
    let mut havoc = Havoc::new(&ground, chance.fork());
    havoc.until_it_answers();
    let before = Before::look(havoc.manager());
    let crowd = Crowd::gather(&ground, &mut chance);

    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) * 2 / 3 {
        havoc.go_on();
    }
    havoc.let_the_manager_live();
    let early = leaks::resident(havoc.manager());
    while begun.elapsed() < Duration::from_secs(seconds) {
        havoc.go_on();
    }
    let late = leaks::resident(havoc.manager());
    let ledger = crowd.part();

    let mut findings = Findings::default();
    let settled = settling::settle(&ground, &mut findings);
    let tally = truth::check(&ledger, &settled, &havoc, &ground, &mut findings);
    before.check(&ground, havoc.manager(), (early, late), &settled, &havoc, &mut findings);
    println!("{}\n{tally}\nresident {} to {} KiB", havoc.past(), early, late);
    drop(havoc);
    if !findings.is_empty() {
        let kept = folder.keep();
        panic!("seed {seed}, all that is left is in {}:\n{findings}", kept.display());
    }
}
