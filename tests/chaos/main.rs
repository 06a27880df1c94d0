//! Five managers on one Redis, while everything that can be killed is.
//!
//! Managers are killed and halted, for a moment or for longer than their lease and its grace; supervisors and commands
//! are killed; so is the server, which syncs each write. Clients launch, cancel, halt and move work on all of them
//! meanwhile, and send again what was not answered. Then everything is let be, and what came of it is held to what was
//! promised: by the records, by the log of events, by the answers that clients were given, and by a journal to which the
//! commands themselves wrote, in the order in which they did.
//!
//! `LONGHAUL_CHAOS_SECONDS` says for how long, `LONGHAUL_CHAOS_SEED` what is drawn. A seed repeats the plan and not its
//! course: the machine has a say in that.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what a run saw is the point of a long one")]

mod crowd;
mod figures;
mod follower;
mod ground;
mod havoc;
mod journal;
mod ledger;
mod limits;
mod member;
mod order;
mod outage;
mod process;
mod replay;
mod server;
mod settling;
mod truth;
mod worker;

use crowd::Crowd;
use figures::Figures;
use follower::Follower;
use ground::Ground;
use havoc::Havoc;
use journal::Journal;
use longhaul_tests::{Chance, Findings, Owner, fresh_seed, wanted};
use server::Server;
use std::time::{Duration, Instant};

/// How long a run lasts unless it is told otherwise.
const SECONDS: u64 = 30;
/// A run that is no shorter has met everything at least once, also on a slow machine.
const LONG_ENOUGH: u64 = 60;

#[test]
fn five_nodes_keep_every_promise_while_everything_is_killed() {
    let seconds = wanted("LONGHAUL_CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = wanted("LONGHAUL_CHAOS_SEED").unwrap_or_else(fresh_seed);
    println!("chaos: seed {seed}, {seconds} s");
    let mut chance = Chance::seeded(seed);
    let mut ground = Ground::new(Owner::of_run(seed));
    let Some(server) = Server::start(ground.path()) else { return };
    let members = ground.members(&server.url());
    let mut havoc = Havoc::new(server, members, chance.fork(), ground.journal());
    havoc.until_all_are_here();
    let follower = Follower::start(havoc.url());
    let crowd = Crowd::gather(&ground, &havoc, &mut chance);

    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        havoc.go_on();
    }
    let ledger = crowd.part();
    havoc.heal();
    let mut findings = Findings::default();
    let settled = settling::settle(&havoc, &ledger, &ground, &mut findings);
    let log = follower.end();
    let journal = Journal::read(&ground.journal());
    let past = havoc.past();

    let losses = replay::check(&log, &settled, &mut findings);
    truth::check(&ledger, &settled, &journal, (&past, &losses), &mut findings);
    let peaks = limits::check(&settled, &journal, &past, &losses, &mut findings);
    let figures = Figures::of(&ledger, &settled, &log, &journal, &past, (peaks, losses.len()));
    println!("{figures}");
    if seconds >= LONG_ENOUGH {
        figures.met_everything(&mut findings);
    }
    drop(havoc);
    if !findings.is_empty() {
        let kept = ground.keep();
        panic!("seed {seed}, all that is left is in {}:\n{findings}", kept.display());
    }
}
