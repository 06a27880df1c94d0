//! Hostile programs under the real manager, with each kind of containment, as root and as an ordinary user.
//!
//! The reports of the manager are compared with an independent count of live processes. The count uses `/proc` and the
//! file in which every process registers itself.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step fails the test")]

mod cell;
mod census;
mod creature;
mod keeper;
mod orders;
mod visits;

use cell::{Cell, Containment, Who};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Number of visits that run at the same time.
const KEEPERS: usize = 6;

#[test]
fn no_program_of_the_root_user_escapes_its_cgroup() {
    keep(Containment::Cgroup, Who::Root);
}

#[test]
fn no_program_of_the_root_user_escapes_its_subreaper() {
    keep(Containment::Subreaper, Who::Root);
}

#[test]
fn programs_of_the_root_user_are_reported_correctly_with_containment_by_group() {
    keep(Containment::Group, Who::Root);
}

#[test]
fn no_program_of_a_normal_user_escapes_its_cgroup() {
    keep(Containment::Cgroup, Who::User);
}

#[test]
fn no_program_of_a_normal_user_escapes_its_subreaper() {
    keep(Containment::Subreaper, Who::User);
}

#[test]
fn programs_of_a_normal_user_are_reported_correctly_with_containment_by_group() {
    keep(Containment::Group, Who::User);
}

#[test]
fn ends_of_programs_of_the_root_user_are_reported_correctly_in_every_order_of_kills() {
    kill_in_every_order(Who::Root);
}

#[test]
fn ends_of_programs_of_a_normal_user_are_reported_correctly_in_every_order_of_kills() {
    kill_in_every_order(Who::User);
}

/// Kills managers and shims in a sample of the possible orders. With `LONGHAUL_ZOO_DEEP`, uses all orders and each kind
/// of containment.
fn kill_in_every_order(who: Who) {
    let is_deep = std::env::var_os("LONGHAUL_ZOO_DEEP").is_some();
    let (containments, rounds): (&[Containment], &[_]) = if is_deep {
        (&[Containment::Subreaper, Containment::Cgroup, Containment::Group], &orders::ALL)
    } else {
        (&[Containment::Subreaper], &orders::SAMPLE)
    };
    for containment in containments {
        let Some(mut cell) = Cell::open(*containment, who) else { continue };
        for (order, moment) in rounds {
            orders::round(&mut cell, *order, *moment);
        }
    }
}

/// Runs all visits with one manager. Reports all failures at the end.
#[expect(clippy::panic, reason = "a test that found something has failed")]
fn keep(containment: Containment, who: Who) {
    let Some(cell) = Cell::open(containment, who) else { return };
    let only = std::env::var("LONGHAUL_ZOO_ONLY").ok();
    let chosen =
        visits::all().into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only)));
    let times = std::env::var("LONGHAUL_ZOO_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let chosen: Vec<_> = chosen.collect();
    let waiting: Mutex<VecDeque<_>> = Mutex::new(chosen.repeat(times).into());
    let wrong: Mutex<Vec<String>> = Mutex::default();
    let bystander = cell.bystander();
    std::thread::scope(|scope| {
        for _ in 0..KEEPERS {
            scope.spawn(|| {
                loop {
                    let Some((name, visit)) = waiting.lock().unwrap().pop_front() else { return };
                    let begin = std::time::Instant::now();
                    if let Err(why) = catch_unwind(AssertUnwindSafe(|| visit(&cell))) {
                        let why = said(why.as_ref());
                        wrong.lock().unwrap().push(format!("{name}: {why}"));
                    }
                    eprintln!("{name}: {:?}", begin.elapsed());
                }
            });
        }
    });
    if let Err(why) = catch_unwind(AssertUnwindSafe(|| cell.is_unharmed(&bystander))) {
        let why = said(why.as_ref());
        wrong.lock().unwrap().push(format!("all others: {why}"));
    }
    let wrong = wrong.into_inner().unwrap();
    if !wrong.is_empty() {
        panic!(
            "{} in {containment:?} as {who:?}:\n{}\n{}",
            wrong.len(),
            wrong.join("\n"),
            cell.manager_log()
        );
    }
}

fn said(why: &(dyn std::any::Any + Send)) -> String {
    let text = why.downcast_ref::<String>().cloned();
    text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
