//! Tests of the generators: the generated scripts reach the intended states.

use longhaul_domain::Status;
use longhaul_testkit::scripts;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;

#[test]
fn scripts_reach_every_status() {
    let mut runner = TestRunner::deterministic();
    let lives = scripts::lives(30);
    let mut reached = BTreeSet::new();
    for _ in 0..2_000 {
        let life = lives.new_tree(&mut runner).unwrap().current();
        reached.extend(life.play().iter().map(|record| record.process.status()));
        if reached.len() == Status::ALL.len() {
            return;
        }
    }
    panic!("only {reached:?}");
}

proptest! {
    #![proptest_config(Config::with_cases(64))]

    #[test]
    fn the_same_life_is_played_the_same_way(life in scripts::lives(20)) {
        prop_assert_eq!(life.play(), life.play());
    }

    #[test]
    fn a_life_is_the_fold_of_its_events(life in scripts::lives(20)) {
        let records = life.play();
        let mut process = records[0].process.clone();
        for record in &records[1..] {
            process.evolve(&record.events);
            prop_assert_eq!(&process, &record.process);
        }
    }
}
