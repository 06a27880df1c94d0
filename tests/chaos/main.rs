//! Five managers on one server of Redis or PostgreSQL, while every program is killed at random.
//!
//! Managers are killed and stopped, briefly or for longer than their lease and its grace. Shims, commands and the
//! server, which syncs each write, are killed too. Meanwhile clients launch, cancel, pause and move processes on all
//! nodes, and repeat requests without an answer. When the faults are over, the results are checked against the
//! promises: the records, the event log, the answers that clients got, and a journal to which the commands wrote in
//! the order of their writes.
//!
//! `LONGHAUL_CHAOS_SECONDS` sets the duration, `LONGHAUL_CHAOS_SEED` the random numbers. A seed repeats the plan of a
//! run and not its exact course, which depends on timing.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]
#![expect(clippy::print_stdout, reason = "the figures are the result of a long run")]

mod clients;
mod faults;
mod figures;
mod follower;
mod journal;
mod ledger;
mod limits;
mod member;
mod order;
mod outage;
#[path = "../../crates/adapters/tests/postgres/process.rs"]
mod postgres;
mod process;
mod replay;
mod run_directory;
mod server;
mod settling;
mod truth;
mod worker;

use clients::Clients;
use faults::FaultInjector;
use figures::Figures;
use follower::Follower;
use journal::Journal;
use longhaul_tests::{Chance, Findings, Owner, fresh_seed, wanted};
use run_directory::RunDirectory;
use server::Server;
use std::time::{Duration, Instant};

/// Default duration of a run, in seconds.
const SECONDS: u64 = 30;
/// Minimum duration of a run, in seconds, that covers every situation even on a slow machine.
const LONG_ENOUGH: u64 = 60;

#[test]
fn five_nodes_break_no_promise_while_all_programs_are_killed() {
    run(|run_directory| Server::redis(run_directory.path()));
}

#[test]
#[cfg_attr(not(postgres), ignore = "PostgreSQL is missing (Debian: apt-get install postgresql)")]
fn five_nodes_on_postgresql_break_no_promise_while_all_programs_are_killed() {
    run(|_| Some(Server::postgres()));
}

/// Runs the test on the server that the function starts. Without a server, the test is ignored.
fn run(start: impl FnOnce(&RunDirectory) -> Option<Server>) {
    let seconds = wanted("LONGHAUL_CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = wanted("LONGHAUL_CHAOS_SEED").unwrap_or_else(fresh_seed);
    println!("chaos: seed {seed}, {seconds} s");
    let mut chance = Chance::seeded(seed);
    let mut run_directory = RunDirectory::new(Owner::of_run(seed));
    let Some(server) = start(&run_directory) else { return };
    let members = run_directory.members(&server.url());
    let mut injector = FaultInjector::new(server, members, chance.fork(), run_directory.journal());
    injector.until_all_are_here();
    let follower = Follower::start(injector.url());
    let clients = Clients::start(&run_directory, &injector, &mut chance);

    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        injector.step();
    }
    let ledger = clients.stop();
    injector.recover_all();
    let mut findings = Findings::default();
    let settled = settling::settle(&injector, &ledger, &run_directory, &mut findings);
    let log = follower.end();
    let journal = Journal::read(&run_directory.journal());
    let past = injector.past();

    let losses = replay::check(&log, &settled, &mut findings);
    truth::check(&ledger, &settled, &journal, (&past, &losses), &mut findings);
    let peaks = limits::check(&settled, &journal, &past, &losses, &mut findings);
    let figures = Figures::of(&ledger, &settled, &log, &journal, &past, (peaks, losses.len()));
    println!("{figures}");
    if seconds >= LONG_ENOUGH {
        figures.met_everything(&mut findings);
    }
    drop(injector);
    if !findings.is_empty() {
        let kept = run_directory.keep();
        panic!("seed {seed}, the files of the run are in {}:\n{findings}", kept.display());
    }
}
